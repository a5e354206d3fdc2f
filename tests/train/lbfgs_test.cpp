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
  CHECK(x == Vector<double>::Ones(2));
  x << -1.2, 1;
  CHECK(minimise_lbfgs<double>(valley, x, {.iterations = 3, .tolerance = 0}, none).iterations == 3);
  x << -1.2, 1;
  CHECK(minimise_lbfgs<double>(valley, x, {.iterations = 200, .tolerance = 1}, none).iterations == 1);
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
