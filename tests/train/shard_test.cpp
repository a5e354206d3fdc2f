#include <linformer/train/shard.hpp>

#include "support/catch.hpp"
#include "train/two_parameters.hpp"

using namespace linformer;

TEST_CASE("a shard tells its parts of a module, cut where parameters end", "[shard]") {
  TwoParameters<double> module{Matrix<double>(2, 3), Vector<double>(2)};
  set_zero(module);
  // Nothing, a run of one parameter, nothing, and a run across both, which hold 6 and 2 values.
  const std::vector<Part> parts{{0, 0}, {1, 3}, {4, 4}, {4, 7}};
  std::vector<std::pair<std::string, Index>> told;
  Shard<TwoParameters<double>>(module, parts)
      .for_each_parameter([&](const std::string& name, Shape shape, std::span<double> values) {
        REQUIRE(shape.size() == 1);
        REQUIRE(shape[0] == static_cast<Index>(values.size()));
        told.emplace_back(name, shape[0]);
        for (double& value : values) value = static_cast<double>(told.size());
      });
  CHECK(told == std::vector<std::pair<std::string, Index>>{{"weight", 2}, {"weight", 2}, {"bias", 1}});
  CHECK(std::vector<double>(module.weight.data(), module.weight.data() + 6) == std::vector<double>{0, 1, 1, 0, 2, 2});
  CHECK(module.bias(0) == 3);
  CHECK(module.bias(1) == 0);
}
