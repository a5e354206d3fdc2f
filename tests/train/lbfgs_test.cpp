#include <linformer/train/lbfgs.hpp>

#include "support/catch.hpp"

#include <limits>

using namespace linformer;

namespace {

/// Rosenbrock's valley, whose only minimum is 0 at (1, 1).
double valley(const Vector<double>& x, Vector<double>& gradient) {
  const double a = 1 - x(0), b = x(1) - x(0) * x(0);
  gradient.resize(2);
  gradient << -2 * a - 400 * x(0) * b, 200 * b;
  return a * a + 100 * b * b;
}

}  // namespace

TEST_CASE("L-BFGS comes down a curved valley and never goes up", "[lbfgs]") {
  Vector<double> x(2);
  x << -1.2, 1;
  Vector<double> gradient;
  double last = valley(x, gradient);
  Index calls = 0;
  const Minimum minimum =
      minimise_lbfgs<double>(valley, x, {.iterations = 200, .tolerance = 0}, [&](Index iteration, double value) {
        CHECK(iteration == ++calls);
        CHECK(value < last);
        last = value;
      });
  CHECK(minimum.value == last);
  CHECK(minimum.iterations == calls);
  CHECK(minimum.evaluations > minimum.iterations);
  CHECK(minimum.value < 1e-16);
  CHECK((x - Vector<double>::Ones(2)).norm() < 1e-6);  // the flattest direction's curvature is about 0.4
}

TEST_CASE("L-BFGS takes the steps that a quadratic's curvature asks for", "[lbfgs]") {
  // Eigenvalues from 1 to 1000; an exact method would need twenty steps, steepest descent thousands.
  Vector<double> curvatures(20);
  for (Index i = 0; i < 20; ++i) curvatures(i) = std::pow(10, 3.0 * static_cast<double>(i) / 19);
  const auto function = [&](const Vector<double>& x, Vector<double>& gradient) {
    gradient = curvatures.cwiseProduct(x - Vector<double>::Ones(20));
    return 0.5 * gradient.dot(x - Vector<double>::Ones(20));
  };
  Vector<double> x = Vector<double>::Zero(20);
  const Minimum minimum =
      minimise_lbfgs<double>(function, x, {.iterations = 300, .tolerance = 0}, [](Index, double) {});
  CHECK(minimum.value < 1e-12);
  CHECK((x - Vector<double>::Ones(20)).norm() < 2e-6);  // ‖x − 1‖² ≤ 2·value, as no curvature is below 1
}

TEST_CASE("L-BFGS ends at a minimum, at its tolerance and at its count", "[lbfgs]") {
  const auto none = [](Index, double) {};
  Vector<double> x = Vector<double>::Ones(2);
  const Minimum there = minimise_lbfgs<double>(valley, x, {}, none);
  CHECK(there.iterations == 0);
  CHECK(there.evaluations == 1);
  CHECK(there.stop == LbfgsStop::flat);
  CHECK(x == Vector<double>::Ones(2));
  x << -1.2, 1;
  const Minimum counted = minimise_lbfgs<double>(valley, x, {.iterations = 3, .tolerance = 0}, none);
  CHECK(counted.iterations == 3);
  CHECK(counted.stop == LbfgsStop::iterations);
  x << -1.2, 1;
  const Minimum coarse = minimise_lbfgs<double>(valley, x, {.iterations = 200, .tolerance = 1}, none);
  CHECK(coarse.iterations == 1);
  CHECK(coarse.stop == LbfgsStop::tolerance);
}

TEST_CASE("L-BFGS says that it cannot go on", "[lbfgs]") {
  const auto none = [](Index, double) {};
  const auto uphill = [](const Vector<double>& x, Vector<double>& gradient) {  // whose gradient is another's
    gradient = Vector<double>::Constant(1, -1);
    return x(0);
  };
  Vector<double> x = Vector<double>::Zero(1);
  const Minimum stuck = minimise_lbfgs<double>(uphill, x, {}, none);
  CHECK(stuck.stop == LbfgsStop::no_decrease);
  CHECK(stuck.iterations == 0);
  CHECK(x(0) == 0);
  for (const bool of_value : {true, false}) {
    const auto broken = [&](const Vector<double>& at, Vector<double>& gradient) {
      gradient = Vector<double>::Constant(1, of_value ? 1 : std::numeric_limits<double>::infinity());
      return of_value ? std::numeric_limits<double>::quiet_NaN() : at(0);
    };
    const Minimum none_found = minimise_lbfgs<double>(broken, x, {}, none);
    CHECK(none_found.stop == LbfgsStop::not_finite);
    CHECK(none_found.evaluations == 1);
    CHECK(x(0) == 0);
  }
  // An infinite value is no lower one.
  const auto cliff = [](const Vector<double>& at, Vector<double>& gradient) {
    gradient = Vector<double>::Ones(1);
    return at(0) > 0 ? at(0) : -std::numeric_limits<double>::infinity();
  };
  x(0) = 1;
  const Minimum above = minimise_lbfgs<double>(cliff, x, {.tolerance = 0, .first_step = 4}, none);
  CHECK(x(0) > 0);
  CHECK(above.value == x(0));
}

TEST_CASE("L-BFGS steps back from where a function is none", "[lbfgs]") {
  const auto function = [](const Vector<double>& x, Vector<double>& gradient) {
    gradient = Vector<double>::Constant(1, 1 - 1 / x(0));
    return x(0) > 0 ? x(0) - std::log(x(0)) : std::numeric_limits<double>::quiet_NaN();
  };
  Vector<double> x = Vector<double>::Constant(1, 5);
  const Minimum minimum = minimise_lbfgs<double>(function, x, {.tolerance = 0, .first_step = 8}, [](Index, double) {});
  CHECK(std::abs(x(0) - 1) < 1e-6);
  CHECK(std::abs(minimum.value - 1) < 1e-12);
}
