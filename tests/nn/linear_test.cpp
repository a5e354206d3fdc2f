#include <linformer/nn/linear.hpp>

#include "kernels/reference.hpp"
#include "support/catch.hpp"

#include <limits>
#include <string>
#include <vector>

using namespace linformer;
using reference::Framed;
using reference::Numbers;

namespace {

template <Scalar T>
Linear<T> random_linear(Index out, Index in, bool with_bias) {
  Numbers numbers(static_cast<std::uint64_t>(100 * out + in));
  Linear<T> linear = Linear<T>::zeros("weight", out, in, with_bias);
  linear.weight = numbers.matrix<T>(out, in);
  if (with_bias) linear.bias = numbers.matrix<T>(out, 1, 5);
  return linear;
}

/// x·Wᵀ + b.
template <Scalar T>
reference::Exact exact_of(const Linear<T>& linear, const Matrix<T>& x) {
  Matrix<T> bias = Matrix<T>::Zero(x.rows(), linear.weight.rows());
  for (Index j = 0; j < linear.bias.size(); ++j) bias.col(j).setConstant(linear.bias(j));
  return reference::product<T>(x, linear.weight.transpose(), bias);
}

}  // namespace

// The product errs by γ_in·|x||W|ᵀ, the addition of b by one rounding more: γ_{in+1}·(|x||W|ᵀ + |b|) in all.
TEMPLATE_TEST_CASE("a linear map is x times the weight transposed plus the bias", "[linear]", float, double) {
  for (const Index rows : {0, 1, 3, 40}) {
    for (const Index in : {1, 5, 64}) {
      for (const Index out : {1, 6, 33}) {
        for (const bool with_bias : {false, true}) {
          CAPTURE(rows, in, out, with_bias);
          const auto linear = random_linear<TestType>(out, in, with_bias);
          const Matrix<TestType> x = Numbers(3).matrix<TestType>(rows, in);
          Matrix<TestType> y = Matrix<TestType>::Constant(rows, out, std::numeric_limits<TestType>::quiet_NaN());
          linear.apply(x, y);
          CHECK(reference::worst_error(y, exact_of(linear, x), reference::gamma<TestType>(in + 1)) <= 1);
        }
      }
    }
  }
}

TEST_CASE("some outputs of a linear map are those of the whole", "[linear]") {
  const auto linear = random_linear<double>(12, 7, true);
  const Matrix<double> x = Numbers(4).matrix<double>(9, 7);
  const reference::Exact exact = exact_of(linear, x);
  for (const Index first : {0, 1, 5, 12}) {
    for (Index count = 0; count <= 12 - first; count += 3) {
      CAPTURE(first, count);
      const reference::Exact part{exact.value.middleCols(first, count), exact.magnitude.middleCols(first, count)};
      Framed<double> y(Matrix<double>::Zero(9, count));
      linear.apply(Framed<double>(x).inside(), y.inside(), first, count);
      CHECK(reference::worst_error(y.inside(), part, reference::gamma<double>(8)) <= 1);
      CHECK(y.frame_is_intact());
    }
  }
}

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
  auto linear = random_linear<double>(3, 4, true);
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
  const auto without_bias = random_linear<double>(3, 4, false);
  without_bias.for_each_parameter("key", [&](const std::string& name, Shape, std::span<const double> values) {
    names.push_back(name);
    CHECK(values.size() == 12);
  });
  CHECK(names == std::vector<std::string>{"key.weight"});
}
