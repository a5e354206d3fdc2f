#include <linformer/train/gradient_check.hpp>

#include "support/catch.hpp"
#include "train/two_parameters.hpp"

#include <cmath>
#include <limits>
#include <set>
#include <string>

using namespace linformer;

namespace {

TwoParameters<double> module() {
  TwoParameters<double> made{Matrix<double>(3, 5), Vector<double>(4)};
  for (Index i = 0; i < 15; ++i) made.weight.data()[i] = 0.125 * static_cast<double>(i) - 1;
  for (Index i = 0; i < 4; ++i) made.bias(i) = 0.5 * static_cast<double>(i) - 0.75;
  return made;
}

/// Σ sin(w) + Σ b³, and its gradient.
double function(const TwoParameters<double>& at) {
  return at.weight.array().sin().sum() + at.bias.array().cube().sum();
}
TwoParameters<double> gradient() {
  const auto at = module();
  return {at.weight.array().cos(), 3 * at.bias.array().square()};
}

}  // namespace

TEST_CASE("a right gradient passes in every value", "[gradient_check]") {
  // h²/6 of a third derivative up to 6 is 1e-12; rounding of sums below 20 over 2h adds about 1e-9.
  const GradientCheck check = check_gradient(module(), function, gradient(), {.absolute = 1e-8, .relative = 0});
  CHECK(check.passed());
  CHECK(check.checked == 19);
  CHECK(check.failed == 0);
  REQUIRE(check.worst.size() == 10);
  for (std::size_t i = 1; i < 10; ++i) CHECK(check.worst[i - 1].ratio >= check.worst[i].ratio);
  CHECK(check.worst[0].ratio <= 1);
}

TEST_CASE("wrong values are found, counted and named, the worst first", "[gradient_check]") {
  auto wrong = gradient();
  wrong.weight(1, 3) += 1e-3;
  wrong.bias(2) -= 0.5;
  const GradientCheck check = check_gradient(module(), function, wrong, {.worst = 2});
  CHECK_FALSE(check.passed());
  CHECK(check.failed == 2);
  REQUIRE(check.worst.size() == 2);
  CHECK(check.worst[0].name == "bias");
  CHECK(check.worst[0].index == 2);
  CHECK(check.worst[0].analytic == wrong.bias(2));
  CHECK(check.worst[0].numeric == Approx(gradient().bias(2)).epsilon(1e-8));
  CHECK(check.worst[1].name == "weight");
  CHECK(check.worst[1].index == 8);
  CHECK(check.worst[1].ratio > 1);
}

TEST_CASE("the bound is absolute and relative", "[gradient_check]") {
  auto off = gradient();
  off.bias *= 1.001;
  off.weight.array() += 1e-4;
  const auto failed = [&](double absolute, double relative) {
    return check_gradient(module(), function, off, {.absolute = absolute, .relative = relative}).failed;
  };
  CHECK(failed(1e-5, 0) == 19);
  CHECK(failed(1.1e-4, 0) == 4);  // the bias, off by at least 1.8e-4
  CHECK(failed(1.1e-4, 1.1e-3) == 0);
  CHECK(failed(1e-9, 1.5e-4) == 6);  // the bias, and weights with cos w < 2/3: -1 and -0.875
}

TEST_CASE("what is not finite fails", "[gradient_check]") {
  auto wrong = gradient();
  wrong.weight(0, 0) = std::numeric_limits<double>::quiet_NaN();
  wrong.weight(0, 1) = std::numeric_limits<double>::infinity();
  const GradientCheck check = check_gradient(module(), function, wrong);
  CHECK(check.failed == 2);
  CHECK(check.worst[0].index == 0);
  CHECK(check.worst[1].index == 1);
  CHECK(std::isinf(check.worst[1].ratio));
  const auto nowhere = [](const TwoParameters<double>&) { return std::numeric_limits<double>::quiet_NaN(); };
  CHECK(check_gradient(module(), nowhere, gradient()).failed == 19);
}

TEST_CASE("a sample checks as many of each parameter, none twice, by seed", "[gradient_check]") {
  const auto indices = [](Index samples, std::uint64_t seed) {
    std::set<std::pair<std::string, std::size_t>> seen;
    const GradientCheck check =
        check_gradient(module(), function, gradient(), {.samples = samples, .seed = seed, .worst = 100});
    for (const GradientDifference& entry : check.worst) seen.emplace(entry.name, entry.index);
    CHECK(static_cast<Index>(seen.size()) == check.checked);
    return seen;
  };
  CHECK(indices(4, 1).size() == 8);
  CHECK(indices(4, 1) == indices(4, 1));
  CHECK(indices(6, 1).size() == 10);  // the bias has four
  CHECK(indices(1000, 1).size() == 19);
  std::set<std::pair<std::string, std::size_t>> reached;
  for (std::uint64_t seed = 0; seed < 100; ++seed) reached.merge(indices(4, seed));
  CHECK(reached.size() == 19);
}

TEST_CASE("a gradient of another module is an error, and one of nothing does not pass", "[gradient_check]") {
  auto other = gradient();
  other.bias.resize(5);
  CHECK_THROWS_AS(check_gradient(module(), function, other), Error);
  const TwoParameters<double> empty;
  CHECK_FALSE(check_gradient(empty, function, empty).passed());
}
