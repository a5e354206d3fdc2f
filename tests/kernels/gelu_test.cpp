#include <linformer/kernels/gelu.hpp>

#include "kernels/reference.hpp"
#include "support/catch.hpp"
#include "support/isa.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <numbers>
#include <type_traits>
#include <vector>

using namespace linformer;
using reference::Framed;
using reference::Numbers;

namespace {

constexpr Gelu forms[] = {Gelu::exact, Gelu::tanh};
constexpr long double pi = std::numbers::pi_v<long double>;

/// GELU at x and its derivative.
struct Exact {
  long double value = 0, derivative = 0;
  long double magnitude = 0;    ///< Φ(x) + |x|·φ(x)
  long double uncertainty = 0;  ///< a bound for the relative error of what is above
};

/// With erfc. At x·√½ rounded, erfc is off by a relative x²·2⁻⁶⁴, half a unit in the last place of a double in its far
/// tail, so what rounding took is made up for.
Exact exact_form(long double x) {
  const long double root = std::sqrt(0.5L), root_rest = std::fma(-root, root, 0.5L) / (2 * root);
  const long double z = -x * root, rest = std::fma(-x, root, -z) - x * root_rest;
  const long double phi = std::erfc(z) / 2 - rest * std::exp(-z * z) / std::sqrt(pi);
  const long double term = x * std::exp(-x * x / 2) / std::sqrt(2 * pi);  // of which x² rounds to a relative x²·2⁻⁶⁵
  return {x * phi, phi + term, phi + std::abs(term), (x * x + 8) * 0x1p-64L};
}

/// With ½·(1 + tanh(w/2)) as 1/(1 + e⁻ʷ), which does not cancel. Three roundings of w are 3·w·2⁻⁶⁴ of e⁻ʷ.
Exact tanh_form(long double x) {
  const long double s = 2 * std::sqrt(2 / pi), c = 0.044715L * s;
  const long double w = x * (s + c * x * x), e = std::exp(-std::abs(w));
  const long double upper = 1 / (1 + e), lower = e / (1 + e), sigma = x > 0 ? upper : lower;
  const long double term = x * upper * lower * (s + 3 * c * x * x);
  return {x * sigma, sigma + term, sigma + std::abs(term), (4 * std::abs(w) + 8) * 0x1p-64L};
}

Exact exact(Gelu form, long double x) { return form == Gelu::exact ? exact_form(x) : tanh_form(x); }

/// Numbers of both signs from the least denormal to 45, where every tail is 0, dense from 2⁻¹² on.
template <Scalar T>
Matrix<T> sweep() {
  using Bits = std::conditional_t<std::is_same_v<T, float>, std::uint32_t, std::uint64_t>;
  const auto bits = [](double value) { return std::bit_cast<Bits>(static_cast<T>(value)); };
  std::vector<T> values;
  const auto add = [&](Bits from, Bits to, Bits count) {
    for (Bits i = 0; i < count; ++i) {
      const T value = std::bit_cast<T>(static_cast<Bits>(from + (to - from) / count * i + i % 7));
      values.push_back(value);
      values.push_back(-value);
    }
  };
  add(0, bits(0x1p-12), 2000);
  add(bits(0x1p-12), bits(45), 40000);
  return Eigen::Map<Matrix<T>>(values.data(), 1, static_cast<Index>(values.size()));
}

template <class T>
constexpr long double least_normal = std::numeric_limits<T>::min();

/// The result of one value by itself.
template <Scalar T>
T gelu_of(Isa isa, Gelu form, T x) {
  Matrix<T> value = Matrix<T>::Constant(1, 1, x);
  gelu<T>(isa, form, value);
  return value(0, 0);
}
template <Scalar T>
T derivative_of(Isa isa, Gelu form, T x) {
  Matrix<T> gradient = Matrix<T>::Ones(1, 1);
  gelu_gradient<T>(isa, form, Matrix<T>::Constant(1, 1, x), gradient);
  return gradient(0, 0);
}

}  // namespace

// Counting roundings on the vector paths, in units of u: for Gelu::exact 4 of exp (2 ULP), 1 of what makes up for the
// rounding of its argument; 1.5 of t near 1, by which the tail changes 3 times as fast, its coefficients 0.3, Horner's
// scheme 2 and three products: at most 16·u, so 16 ULP. For Gelu::tanh 4 + 1 of exp, and 3 of sum, product and
// quotient. Errors never add up so: the header's 8 and 5 ULP are what every float keeps, of which this is a sample.
TEMPLATE_TEST_CASE("values are within the stated ULP, tails too", "[gelu]", float, double) {
  using T = TestType;
  const Matrix<T> x = sweep<T>();
  for (const Gelu form : forms) {
    const long double allowed = form == Gelu::exact ? 8 : 5;
    for (const Isa isa : supported_isas()) {
      Matrix<T> values = x;
      gelu<T>(isa, form, values);
      long double worst = 0, worst_of_small = 0;
      T worst_at = 0;
      for (Index j = 0; j < x.cols(); ++j) {
        const Exact expected = exact(form, static_cast<long double>(x(0, j)));
        const long double size = std::abs(expected.value);
        const long double error = std::abs(static_cast<long double>(values(0, j)) - expected.value);
        REQUIRE(!std::isnan(error));
        if (size < 32 * least_normal<T>) {
          worst_of_small = std::max(worst_of_small, error / least_normal<T>);
          continue;
        }
        const long double ulp =
            std::ldexp(static_cast<long double>(std::numeric_limits<T>::epsilon()), std::ilogb(size));
        const long double ulps = (error - expected.uncertainty * size) / ulp;
        if (ulps > worst) worst_at = x(0, j);
        worst = std::max(worst, ulps);
      }
      CAPTURE(static_cast<int>(form), static_cast<int>(isa), worst_at, static_cast<double>(worst),
              static_cast<double>(worst_of_small));
      CHECK(worst <= allowed);
      CHECK(worst_of_small <= 16);
    }
  }
}

// In units of u: as above without a product, and for Gelu::exact 2 of |x|·φ and 1 of each sum; for Gelu::tanh 4.5 of
// the slope of the argument, 3 of its factors and 2 of sums, relative to |x|·φ.
TEMPLATE_TEST_CASE("derivatives are within the stated bound", "[gelu]", float, double) {
  using T = TestType;
  const Matrix<T> x = sweep<T>();
  for (const Gelu form : forms) {
    for (const Isa isa : supported_isas()) {
      Matrix<T> gradient = Matrix<T>::Ones(1, x.cols());
      gelu_gradient<T>(isa, form, x, gradient);
      long double worst = 0;
      T worst_at = 0;
      for (Index j = 0; j < x.cols(); ++j) {
        const Exact expected = exact(form, static_cast<long double>(x(0, j)));
        const long double error = std::abs(static_cast<long double>(gradient(0, j)) - expected.derivative);
        REQUIRE(!std::isnan(error));
        const long double ratio =
            error / ((10 * reference::unit<T> + expected.uncertainty) * expected.magnitude + 256 * least_normal<T>);
        if (ratio > worst) worst_at = x(0, j);
        worst = std::max(worst, ratio);
      }
      CAPTURE(static_cast<int>(form), static_cast<int>(isa), worst_at, static_cast<double>(worst));
      CHECK(worst <= 1);
    }
  }
}

TEMPLATE_TEST_CASE("nothing depends on where a value lies, and nothing beside values is touched", "[gelu]", float,
                   double) {
  using T = TestType;
  for (const Gelu form : forms) {
    for (const Isa isa : supported_isas()) {
      for (const Index rows : {0, 1, 3}) {
        for (const Index cols : {0, 1, 7, 8, 15, 16, 17, 33, 768}) {
          CAPTURE(static_cast<int>(form), static_cast<int>(isa), rows, cols);
          Numbers numbers(static_cast<std::uint64_t>(rows + 100 * cols));
          const Matrix<T> x = numbers.matrix<T>(rows, cols, 5), gradient = numbers.matrix<T>(rows, cols);
          Framed<T> values(x), inputs(x), gradients(gradient);
          gelu<T>(isa, form, values.inside());
          gelu_gradient<T>(isa, form, inputs.inside(), gradients.inside());
          bool same = true;
          for (Index i = 0; i < rows; ++i) {
            for (Index j = 0; j < cols; ++j) {
              same = same && values.inside()(i, j) == gelu_of<T>(isa, form, x(i, j)) &&
                     gradients.inside()(i, j) == gradient(i, j) * derivative_of<T>(isa, form, x(i, j));
            }
          }
          CHECK(same);
          CHECK(values.frame_is_intact());
          CHECK(gradients.frame_is_intact());
          CHECK(inputs.frame_is_intact());
          CHECK((inputs.inside().array() == x.array()).all());
        }
      }
    }
  }
}

TEMPLATE_TEST_CASE("infinities, zeros, NaN and the largest numbers", "[gelu]", float, double) {
  using T = TestType;
  using Limits = std::numeric_limits<T>;
  const T infinity = Limits::infinity();
  for (const Gelu form : forms) {
    for (const Isa isa : supported_isas()) {
      CAPTURE(static_cast<int>(form), static_cast<int>(isa));
      CHECK(gelu_of<T>(isa, form, infinity) == infinity);
      CHECK(gelu_of<T>(isa, form, -infinity) == 0);
      CHECK(gelu_of<T>(isa, form, Limits::max()) == Limits::max());
      CHECK(gelu_of<T>(isa, form, -Limits::max()) == 0);
      CHECK(gelu_of<T>(isa, form, T{0}) == 0);
      CHECK(gelu_of<T>(isa, form, T{-0.0}) == 0);
      CHECK(std::isnan(gelu_of<T>(isa, form, Limits::quiet_NaN())));
      CHECK(derivative_of<T>(isa, form, infinity) == 1);
      CHECK(derivative_of<T>(isa, form, -infinity) == 0);
      CHECK(derivative_of<T>(isa, form, Limits::max()) == 1);
      CHECK(derivative_of<T>(isa, form, -Limits::max()) == 0);
      CHECK(std::isnan(derivative_of<T>(isa, form, Limits::quiet_NaN())));

      // and a NaN leaves its neighbours alone
      const Matrix<T> x = Numbers(3).matrix<T>(1, 37, 4);
      for (const Index bad : {0, 9, 20, 36}) {
        Matrix<T> values = x;
        values(0, bad) = Limits::quiet_NaN();
        Matrix<T> gradient = Matrix<T>::Ones(1, 37);
        gelu_gradient<T>(isa, form, values, gradient);
        gelu<T>(isa, form, values);
        for (Index j = 0; j < 37; ++j) {
          if (j == bad) {
            CHECK(std::isnan(values(0, j)));
            CHECK(std::isnan(gradient(0, j)));
          } else {
            CHECK(values(0, j) == gelu_of<T>(isa, form, x(0, j)));
            CHECK(gradient(0, j) == derivative_of<T>(isa, form, x(0, j)));
          }
        }
      }
    }
  }
}

// The oracle of Gelu::tanh is not written as the header has it: here it is, where 1 + tanh does not cancel to much.
TEST_CASE("the form with tanh is the one of the paper, and near the exact one", "[gelu]") {
  for (int i = -600; i <= 600; ++i) {
    const long double x = i / 100.0L;
    const long double paper = 0.5L * x * (1 + std::tanh(std::sqrt(2 / pi) * (x + 0.044715L * x * x * x)));
    CAPTURE(i);
    CHECK(std::abs(tanh_form(x).value - paper) <= 1e-17L);
    CHECK(std::abs(tanh_form(x).value - exact_form(x).value) <= 5e-4L);
    // and derivatives are those of the values, by central differences: h² and 2⁻⁶³ / h
    constexpr long double h = 1e-6L;
    for (const Gelu form : forms) {
      const long double difference = (exact(form, x + h).value - exact(form, x - h).value) / (2 * h);
      CHECK(std::abs(difference - exact(form, x).derivative) <= 5e-12L);
    }
  }
}
