#include <linformer/core/random.hpp>
#include <linformer/train/divergence.hpp>

#include "support/catch.hpp"

#include <cmath>
#include <limits>

using namespace linformer;

namespace {

/// Logits between −8 and 8.
template <Scalar T>
Matrix<T> drawn_logits(Index rows, Index classes, std::uint64_t seed) {
  Matrix<T> logits(rows, classes);
  fill_symmetric_uniform(std::span<T>(logits.data(), static_cast<std::size_t>(logits.size())), RandomStream(seed), 8);
  return logits;
}

using Wide = Eigen::Matrix<long double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

/// log softmax of each row in long double.
template <Scalar T>
Wide log_probabilities(const Matrix<T>& logits) {
  Wide result = logits.template cast<long double>();
  for (Index i = 0; i < result.rows(); ++i) result.row(i).array() -= std::log(result.row(i).array().exp().sum());
  return result;
}

}  // namespace

// The tolerances, in units in the last place of 1: a log-probability, below 32 here, is within 16 (its shift, a sum of
// exponentials each within 6, and two roundings of half a unit of 16), and so is a probability, relatively, but for 5
// of exp. A row's loss, Σ p·(log p − log q), is within 2·16 and a rounding of the difference, 8, by its second factor,
// and within 21 times the largest difference by its first.

TEMPLATE_TEST_CASE("divergence and its gradient are those of the formula", "[divergence]", float, double) {
  using T = TestType;
  const double unit = std::numeric_limits<T>::epsilon();
  for (const Index classes : {1, 2, 63, 64, 65, 200}) {
    const Matrix<T> logits = drawn_logits<T>(3, classes, 1), goal = drawn_logits<T>(3, classes, 2);
    const Wide q = log_probabilities(logits), p = log_probabilities(goal);
    const long double expected = (p.array().exp() * (p - q).array()).sum();
    const auto largest = static_cast<double>((p - q).cwiseAbs().maxCoeff());
    const LossSum sum = divergence<T>(logits, goal);
    CAPTURE(classes, sum.loss, static_cast<double>(expected));
    CHECK(sum.weight == 3);
    CHECK(std::abs(sum.loss - static_cast<double>(expected)) <= 3 * (40 + 21 * largest) * unit);
    Matrix<T> gradient = logits;
    const LossSum same = divergence_gradient<T>(gradient, goal, 0.5);
    CHECK(same.loss == sum.loss);
    const Matrix<double> slopes = (0.5 * (q.array().exp() - p.array().exp())).matrix().template cast<double>();
    CHECK((gradient.template cast<double>() - slopes).cwiseAbs().maxCoeff() <= (21 + 1) * unit);
  }
}

TEST_CASE("divergence is zero from what is the same but for a shift, and bears large logits", "[divergence]") {
  Matrix<float> goal = drawn_logits<float>(2, 70, 3);
  CHECK(divergence<float>(goal, goal).loss == 0);
  const Matrix<float> shifted = (goal.array() + 1024.0F).matrix();  // exact to a unit of 1,024
  CHECK(std::abs(divergence<float>(shifted, shifted).loss) == 0);
  goal(0, 5) = 300;  // whose exponential overflows
  Matrix<float> logits = drawn_logits<float>(2, 70, 4);
  logits(0, 6) = -300;
  const double loss = divergence_gradient<float>(logits, goal, 1).loss;
  CHECK(std::isfinite(loss));
  CHECK(loss > 0);
  CHECK(logits.allFinite());
}

TEST_CASE("a goal of another shape is refused", "[divergence]") {
  Matrix<float> logits = Matrix<float>::Zero(2, 4);
  CHECK_THROWS_AS(divergence<float>(logits, Matrix<float>::Zero(2, 5)), Error);
  CHECK_THROWS_AS(divergence_gradient<float>(logits, Matrix<float>::Zero(3, 4), 1), Error);
}
