#include <linformer/train/gradient_norm.hpp>

#include "support/catch.hpp"
#include "train/two_parameters.hpp"

#include <linformer/core/random.hpp>

#include <limits>

using namespace linformer;

namespace {

template <Scalar T>
TwoParameters<T> drawn(Index rows, Index columns) {
  TwoParameters<T> module{Matrix<T>(rows, columns), Vector<T>(rows)};
  module.for_each_parameter([&](const std::string& name, Shape, std::span<T> values) {
    fill_normal(values, RandomStream(3).derive(name), 1);
  });
  return module;
}

}  // namespace

TEMPLATE_TEST_CASE("the norm is that of all values, in double, the same bits by any threads", "[gradient_norm]", float,
                   double) {
  using T = TestType;
  for (const Index columns : {1, 3, 2000}) {
    const auto module = drawn<T>(29, columns);
    long double sum = 0;
    module.for_each_parameter([&](const std::string&, Shape, auto values) {
      for (const T value : values) sum += static_cast<long double>(value) * static_cast<long double>(value);
    });
    ThreadPool one(1), two(2), five(5);
    const double norm = gradient_norm<T>(module, one);
    // A partial sum has at most 16384/8 + 1 terms and the whole 8 more sums and 5 cuts; the root halves the error.
    CHECK(std::abs(norm - static_cast<double>(std::sqrt(sum))) <=
          (16384.0 / 8 + 16) * std::numeric_limits<double>::epsilon() / 2 * norm);
    CHECK(gradient_norm<T>(module, two) == norm);
    CHECK(gradient_norm<T>(module, five) == norm);
  }
}

TEST_CASE("squares of floats neither overflow nor vanish", "[gradient_norm]") {
  ThreadPool pool(1);
  const float large = std::numeric_limits<float>::max(), small = std::numeric_limits<float>::denorm_min();
  CHECK(gradient_norm<float>(TwoParameters<float>{Matrix<float>::Constant(2, 2, large), {}}, pool) ==
        2 * static_cast<double>(large));
  CHECK(gradient_norm<float>(TwoParameters<float>{Matrix<float>::Constant(2, 2, small), {}}, pool) ==
        2 * static_cast<double>(small));
  CHECK(gradient_norm<float>(TwoParameters<float>{}, pool) == 0);
}

TEST_CASE("what is not finite shows in the norm, and its parameter is named", "[gradient_norm]") {
  ThreadPool pool(2);
  CHECK_FALSE(first_non_finite<float>(drawn<float>(5, 7)).has_value());
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity(),
                          -std::numeric_limits<float>::infinity()}) {
    auto module = drawn<float>(5, 7);
    module.bias(4) = bad;
    CHECK_FALSE(std::isfinite(gradient_norm<float>(module, pool)));
    CHECK(first_non_finite<float>(module) == "bias");
    module.weight(3, 3) = bad;
    CHECK_FALSE(std::isfinite(gradient_norm<float>(module, pool)));
    CHECK(first_non_finite<float>(module) == "weight");
  }
}

TEST_CASE("gradients are clipped as PyTorch does", "[gradient_norm]") {
  CHECK(clip_factor(0, 1) == 1);
  CHECK(clip_factor(0.5, 1) == 1);
  CHECK(clip_factor(4, 1) == 1 / (4 + 1e-6));
  CHECK(clip_factor(1, 1) == 1 / (1 + 1e-6));
  CHECK(clip_factor(1e30, std::numeric_limits<double>::infinity()) == 1);
  CHECK(std::isnan(clip_factor(std::numeric_limits<double>::quiet_NaN(), 1)));
}
