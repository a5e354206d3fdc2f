#include <linformer/train/sigmoid_loss.hpp>

#include "support/catch.hpp"
#include "support/fixtures.hpp"

#include <cmath>
#include <limits>
#include <vector>

using namespace linformer;

namespace {

template <Scalar T>
constexpr double unit = std::numeric_limits<T>::epsilon();

}  // namespace

TEMPLATE_TEST_CASE("the sigmoid loss is PyTorch's", "[sigmoid_loss]", float, double) {
  using T = TestType;
  auto cases = read_fixtures("training.txt");
  for (const char* name : {"sigmoid_loss", "sigmoid_loss_weighted"}) {
    CAPTURE(name);
    REQUIRE(cases.count(name) == 1);
    const oracle::Parameters& expected = cases[name];
    Matrix<T> logits = expected.at("logits").cast<T>();
    std::vector<std::uint8_t> targets;
    for (Index i = 0; i < 12; ++i) targets.push_back(static_cast<std::uint8_t>(expected.at("targets").data()[i]));
    const Matrix<T> weights = oracle::find(expected, "positive_weights").cast<T>();
    const SigmoidLossOptions<T> options{{weights.data(), static_cast<std::size_t>(weights.size())}};
    const LossSum alone = sigmoid_loss<T>(logits, targets, options);
    const LossSum sum = sigmoid_loss_gradient<T>(logits, targets, 1, options);
    // Entries lose less than 2.2 · 8.1, have slopes below 2.2 and logits below 8 that float rounds by 4 units.
    const double tolerance = 2.2 * 12 * unit<T>;
    CHECK(alone.loss == sum.loss);
    CHECK(sum.weight == 12);
    CHECK(std::abs(sum.loss - expected.at("sum")(0, 0)) <= 12 * tolerance);
    CHECK(std::abs(sum.mean() - expected.at("mean")(0, 0)) <= tolerance);
    CHECK((logits.template cast<double>() - expected.at("gradient")).cwiseAbs().maxCoeff() <= tolerance);
  }
}

TEST_CASE("losses and gradients are those of the formula over all magnitudes", "[sigmoid_loss]") {
  const double scale = 0.375, weight = 3;
  for (double z = -800; z <= 800; z += z > -40 && z < 40 ? 0.37 : 19.0) {
    for (const bool holds : {false, true}) {
      CAPTURE(z, holds);
      const long double towards = holds ? z : -z;
      // log(1 + exp(−t)) and σ(−t) in long double, whose exp does not overflow here.
      const long double loss = std::log1p(std::exp(-towards)), miss = 1 / (1 + std::exp(towards));
      const auto factor = static_cast<long double>(holds ? weight : 1);
      Matrix<double> logit = Matrix<double>::Constant(1, 1, z);
      const std::vector<std::uint8_t> target{static_cast<std::uint8_t>(holds ? 1 : 0)};
      const std::vector<double> weights{weight};
      const LossSum sum = sigmoid_loss_gradient<double>(logit, target, scale, {weights});
      // Relative: no difference cancels; below 1e-307 exp may be subnormal.
      CHECK(std::abs(sum.loss - static_cast<double>(factor * loss)) <= 8 * unit<double> * sum.loss + 1e-307);
      const auto slope = static_cast<double>((holds ? -miss : miss) * factor * static_cast<long double>(scale));
      CHECK(std::abs(logit(0, 0) - slope) <= 8 * unit<double> * std::abs(slope) + 1e-307);
    }
  }
}

TEST_CASE("tiles of rows have the same gradients, and losses that add up", "[sigmoid_loss]") {
  Matrix<float> logits(6, 4);
  std::vector<std::uint8_t> targets;
  for (Index i = 0; i < 24; ++i) {
    logits.data()[i] = static_cast<float>(i % 7) - 3.25F;
    targets.push_back(i % 3 == 0 ? 1 : 0);
  }
  Matrix<float> wide = Matrix<float>::Constant(6, 9, 5);
  wide.middleCols(2, 4) = logits;
  const LossSum whole = sigmoid_loss_gradient<float>(logits, targets, 2);
  LossSum tiles = sigmoid_loss_gradient<float>(wide.block(0, 2, 2, 4), std::span(targets).first(8), 2);
  tiles += sigmoid_loss_gradient<float>(wide.block(2, 2, 4, 4), std::span(targets).subspan(8), 2);
  CHECK(wide.middleCols(2, 4) == logits);
  CHECK((wide.rightCols(3).array() == 5).all());
  CHECK(tiles.loss == Approx(whole.loss).epsilon(24 * unit<double>));
  CHECK(tiles.weight == 24);
}

TEST_CASE("a NaN makes the loss NaN and its own gradient alone", "[sigmoid_loss]") {
  Matrix<float> logits = Matrix<float>::Ones(2, 2);
  logits(1, 0) = std::numeric_limits<float>::quiet_NaN();
  CHECK(std::isnan(sigmoid_loss_gradient<float>(logits, std::vector<std::uint8_t>(4), 1).loss));
  CHECK(std::isnan(logits(1, 0)));
  CHECK(std::isfinite(logits(0, 0)));
  CHECK(std::isfinite(logits(1, 1)));
}

TEST_CASE("targets and shapes that do not fit are errors, and nothing changes", "[sigmoid_loss]") {
  Matrix<float> logits = Matrix<float>::Ones(3, 2);
  std::vector<std::uint8_t> targets(6);
  targets[5] = 2;
  try {
    sigmoid_loss_gradient<float>(logits, targets, 1, {.first_row = 10});
    FAIL_CHECK("nothing was thrown");
  } catch (const Error& error) {
    CHECK(error.code() == ErrorCode::out_of_range);
    CHECK(error.tensor() == "target of row 12");
    CHECK(error.actual() == "2");
  }
  CHECK(logits == Matrix<float>::Ones(3, 2));
  targets[5] = 1;
  const std::vector<float> weights(3, 1);
  const auto code = [&](std::size_t count, std::span<const float> positive) {
    try {
      static_cast<void>(sigmoid_loss<float>(logits, std::span(targets).first(count), {positive}));
    } catch (const Error& error) {
      return error.code();
    }
    return ErrorCode::aliasing;
  };
  CHECK(code(5, {}) == ErrorCode::shape_mismatch);
  CHECK(code(6, weights) == ErrorCode::shape_mismatch);
  CHECK(code(6, std::span(weights).first(2)) == ErrorCode::aliasing);
}
