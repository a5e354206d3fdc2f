#include <linformer/nn/linear.hpp>

#include "support/catch.hpp"

#include <string>
#include <vector>

using namespace linformer;

TEST_CASE("a zero map", "[linear]") {
  const auto linear = Linear<float>::zeros("query.weight", 3, 4, true);
  CHECK(linear.weight.rows() == 3);
  CHECK(linear.weight.cols() == 4);
  CHECK(linear.weight.isZero(0));
  CHECK(linear.bias.size() == 3);
  CHECK(linear.bias.isZero(0));
  CHECK(Linear<float>::zeros("query.weight", 3, 4, false).bias.size() == 0);
}

TEST_CASE("a map too large to address is an error that names it", "[linear]") {
  try {
    static_cast<void>(Linear<float>::zeros("query.weight", Index{1} << 40, Index{1} << 40, true));
    FAIL_CHECK("nothing was thrown");
  } catch (const Error& error) {
    CHECK(error.code() == ErrorCode::size_overflow);
    CHECK(error.tensor() == "query.weight");
  }
}

TEST_CASE("a linear map tells its weight, out by in, and its bias", "[linear]") {
  std::vector<std::string> names;
  std::vector<std::vector<Index>> shapes;
  auto linear = Linear<double>::zeros("dense.weight", 3, 4, true);
  linear.for_each_parameter("output.dense", [&](const std::string& name, Shape shape, std::span<double> values) {
    names.push_back(name);
    shapes.emplace_back(shape.begin(), shape.end());
    values[0] = 17;
  });
  CHECK(names == std::vector<std::string>{"output.dense.weight", "output.dense.bias"});
  CHECK(shapes == std::vector<std::vector<Index>>{{3, 4}, {3}});
  CHECK(linear.weight(0, 0) == 17);
  CHECK(linear.bias(0) == 17);
  names.clear();
  const auto without_bias = Linear<double>::zeros("key.weight", 3, 4, false);
  without_bias.for_each_parameter("key", [&](const std::string& name, Shape, std::span<const double> values) {
    names.push_back(name);
    CHECK(values.size() == 12);
  });
  CHECK(names == std::vector<std::string>{"key.weight"});
}
