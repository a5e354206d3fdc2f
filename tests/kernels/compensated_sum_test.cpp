#include <linformer/kernels/compensated_sum.hpp>

#include "kernels/reference.hpp"
#include "support/catch.hpp"
#include "support/isa.hpp"

#include <cmath>
#include <limits>

using namespace linformer;
using reference::Numbers;

TEMPLATE_TEST_CASE("sum and error together lose nothing but what rounds in the error", "[compensated_sum]", float,
                   double) {
  using T = TestType;
  constexpr Index length = 37, parts = 500;
  for (const Isa isa : supported_isas()) {
    CAPTURE(static_cast<int>(isa));
    Numbers numbers(3);
    Vector<T> sum = Vector<T>::Zero(length), error = sum;
    Eigen::Matrix<long double, Eigen::Dynamic, 1> exact = Eigen::Matrix<long double, Eigen::Dynamic, 1>::Zero(length);
    auto magnitude = exact;
    for (Index i = 0; i < parts; ++i) {
      const Vector<T> part = numbers.matrix<T>(1, length, i % 3 == 0 ? 1000 : 1).transpose();
      add_compensated<T>(isa, {sum.data(), length}, {error.data(), length}, {part.data(), length});
      exact += part.template cast<long double>();
      magnitude += part.cwiseAbs().template cast<long double>();
    }
    // Sums of errors, each below u·magnitude, round by γ_parts of that; the reference rounds as long double.
    const long double bound = reference::gamma<T>(parts) * parts * reference::unit<T> +
                              static_cast<long double>(parts + 2) * reference::unit<long double>;
    for (Index j = 0; j < length; ++j) {
      const long double actual = static_cast<long double>(sum(j)) + static_cast<long double>(error(j));
      CHECK(std::abs(actual - exact(j)) <= bound * magnitude(j));
    }
  }
}

TEMPLATE_TEST_CASE("compensated sums have the same bits on every path", "[compensated_sum]", float, double) {
  using T = TestType;
  Numbers numbers(4);
  const Vector<T> sum = numbers.matrix<T>(1, 53).transpose(), part = numbers.matrix<T>(1, 53, 1e-3).transpose();
  const Vector<T> error = numbers.matrix<T>(1, 53, 1e-8).transpose();
  const auto by = [&](Isa isa) {
    Vector<T> s = sum, e = error;
    add_compensated<T>(isa, {s.data(), 53}, {e.data(), 53}, {part.data(), 53});
    return std::pair(s, e);
  };
  const auto expected = by(Isa::eigen);
  for (const Isa isa : supported_isas()) CHECK(by(isa) == expected);
}

TEST_CASE("a sum that is infinite has no error to speak of", "[compensated_sum]") {
  for (const Isa isa : supported_isas()) {
    float sum = 1, error = 0;
    const float part = std::numeric_limits<float>::infinity();
    add_compensated<float>(isa, {&sum, 1}, {&error, 1}, {&part, 1});
    CHECK(sum == part);
    CHECK(std::isnan(error));
  }
}
