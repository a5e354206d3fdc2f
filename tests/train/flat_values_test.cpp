#include <linformer/train/flat_values.hpp>

#include "support/catch.hpp"
#include "train/two_parameters.hpp"

using namespace linformer;

TEST_CASE("values of all parameters are one sequence, of which any part is copied out and in", "[flat_values]") {
  TwoParameters<float> module{Matrix<float>(2, 3), Vector<float>(2)};
  float next = 0;
  module.for_each_parameter([&](const std::string&, Shape, std::span<float> values) {
    for (float& value : values) value = next++;
  });
  FlatValues<float> flat;
  flat.assign(module);
  REQUIRE(flat.size() == 8);
  for (Index begin = 0; begin <= 8; ++begin) {
    for (Index end = begin; end <= 8; ++end) {
      CAPTURE(begin, end);
      std::vector<float> copy(static_cast<std::size_t>(end - begin), -1);
      flat.copy_to({begin, end}, copy.data());
      for (Index i = begin; i < end; ++i) {
        float& value = copy[static_cast<std::size_t>(i - begin)];
        CHECK(value == static_cast<float>(i));
        value += 10;
      }
      TwoParameters<float> other = module;
      FlatValues<float> others;
      others.assign(other);
      others.copy_from({begin, end}, copy.data());
      Index i = 0;
      other.for_each_parameter([&](const std::string&, Shape, std::span<float> values) {
        for (const float value : values) {
          CHECK(value == static_cast<float>(i >= begin && i < end ? i + 10 : i));
          ++i;
        }
      });
    }
  }
}

TEST_CASE("values of parameters come in any order of these", "[flat_values]") {
  TwoParameters<float> module{Matrix<float>{{0, 1}, {2, 3}}, Vector<float>{{4, 5}}};
  FlatValues<float> flat;
  for (int again = 0; again < 2; ++again) {
    flat.assign(module, std::vector<std::size_t>{1, 0});
    REQUIRE(flat.size() == 6);
    std::vector<float> values(4);
    flat.copy_to({1, 5}, values.data());
    CHECK(values == std::vector<float>{5, 0, 1, 2});
  }
  flat.assign(module);
  std::vector<float> values(6);
  flat.copy_to({0, 6}, values.data());
  CHECK(values == std::vector<float>{0, 1, 2, 3, 4, 5});
}
