#include <linformer/kernels/softmax.hpp>

#include "kernels/reference.hpp"
#include "support/catch.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

using namespace linformer;
using reference::Framed;
using reference::Numbers;

namespace {

template <Scalar T>
constexpr T infinity = std::numeric_limits<T>::infinity();
template <Scalar T>
constexpr T nan_of = std::numeric_limits<T>::quiet_NaN();
/// A vectorised exp may end at the smallest normal number, or just below it, where the true one is smaller still.
template <Scalar T>
constexpr long double floor_of_exp = std::numeric_limits<T>::min();

/// The largest error of softmax_rows(scores) in units of its bound.
///
/// s − max is rounded, which turns into a relative error u·|s − max| of its exp; exp itself errs by 2 ULP ≤ 4u. The sum
/// of n positive terms adds γ_n, and the mean over p of the terms' own errors; the reciprocal and the product 2u.
template <Scalar T>
long double worst_error(const Matrix<T>& scores, const Matrix<T>& actual) {
  constexpr long double u = reference::unit<T>;
  const Index n = scores.cols();
  long double worst = 0;
  for (Index i = 0; i < scores.rows(); ++i) {
    const auto score = [&](Index j) { return static_cast<long double>(scores(i, j)); };
    long double maximum = score(0), sum = 0, distance = 0;
    for (Index j = 1; j < n; ++j) maximum = std::max(maximum, score(j));
    for (Index j = 0; j < n; ++j) {
      const long double weight = std::exp(score(j) - maximum);
      sum += weight;
      if (weight > 0) distance += weight * (maximum - score(j));
    }
    for (Index j = 0; j < n; ++j) {
      const long double exact = std::exp(score(j) - maximum) / sum;
      const long double own = exact > 0 ? maximum - score(j) : 0;
      const long double relative = std::expm1(u * (own + distance / sum) + 10 * u + reference::gamma<T>(n));
      const long double error = std::abs(static_cast<long double>(actual(i, j)) - exact);
      const long double ratio = error / (relative * exact + floor_of_exp<T>);
      if (!(ratio <= worst)) worst = ratio;
      if (std::isnan(worst)) return worst;
    }
  }
  return worst;
}

/// Computed weights w_j·r add up to 1 but for the rounding of their sum (γ_{n−1}), of r and of each product.
template <Scalar T>
bool rows_sum_to_one(const Matrix<T>& weights) {
  for (Index i = 0; i < weights.rows(); ++i) {
    long double sum = 0;
    for (Index j = 0; j < weights.cols(); ++j) sum += static_cast<long double>(weights(i, j));
    if (!(std::abs(sum - 1) <= reference::gamma<T>(weights.cols() + 1))) return false;
  }
  return true;
}

template <Scalar T>
Matrix<T> softmax(Matrix<T> scores) {
  softmax_rows<T>(scores);
  return scores;
}

constexpr Index widths[] = {1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 33, 64, 257, 1000};

}  // namespace

TEMPLATE_TEST_CASE("softmax is within its bound of the formula", "[softmax]", float, double) {
  for (const Index n : widths) {
    for (const double scale : {0.0, 1e-3, 1.0, 30.0, 1e4}) {
      CAPTURE(n, scale);
      const Matrix<TestType> scores = Numbers(static_cast<std::uint64_t>(n)).matrix<TestType>(5, n, scale);
      const Matrix<TestType> weights = softmax(scores);
      CHECK(worst_error(scores, weights) <= 1);
      CHECK(rows_sum_to_one(weights));
      CHECK(weights.minCoeff() >= 0);
    }
  }
}

TEMPLATE_TEST_CASE("a common summand changes nothing, however large", "[softmax]", float, double) {
  Matrix<TestType> scores(1, 19);
  for (Index j = 0; j < 19; ++j) scores(0, j) = static_cast<TestType>(j % 7) / 4;  // added exactly below
  const Matrix<TestType> weights = softmax(scores);
  for (const TestType summand : {TestType{10000}, TestType{-10000}, TestType{131072}}) {
    CHECK(softmax(Matrix<TestType>(scores.array() + summand)) == weights);
  }
  // exp of any of these overflows or underflows
  Matrix<TestType> apart(1, 3);
  apart << TestType{-10000}, TestType{10000}, TestType{9999};
  CHECK(worst_error(apart, softmax(apart)) <= 1);
}

TEMPLATE_TEST_CASE("a single column is 1", "[softmax]", float, double) {
  Matrix<TestType> scores(4, 1);
  scores << TestType{-10000}, TestType{0}, TestType{3}, std::numeric_limits<TestType>::max();
  CHECK(softmax(scores) == Matrix<TestType>::Ones(4, 1));
}

TEMPLATE_TEST_CASE("entries of minus infinity get no weight", "[softmax]", float, double) {
  using T = TestType;
  for (const Index n : {2, 3, 4, 5, 8, 9, 17, 64, 65}) {
    for (const Index period : {2, 3, 5}) {
      CAPTURE(n, period);
      Matrix<T> scores = Numbers(7).matrix<T>(3, n, 5);
      for (Index j = 1; j < n; j += period) scores.col(j).setConstant(-infinity<T>);
      const Matrix<T> weights = softmax(scores);
      CHECK(worst_error(scores, weights) <= 1);
      CHECK(rows_sum_to_one(weights));
      for (Index j = 1; j < n; j += period) CHECK(weights.col(j).maxCoeff() <= floor_of_exp<T>);
    }
  }
}

TEMPLATE_TEST_CASE("NaN and infinite maxima make their row NaN and no other", "[softmax]", float, double) {
  using T = TestType;
  for (const Index n : {1, 2, 3, 4, 5, 8, 9, 17, 64, 65}) {
    const Matrix<T> scores = Numbers(8).matrix<T>(3, n, 5);
    const Matrix<T> weights = softmax(scores);
    for (Index j = 0; j < n; ++j) {
      CAPTURE(n, j);
      for (const T bad : {nan_of<T>, infinity<T>}) {
        Matrix<T> spoilt = scores;
        spoilt(1, j) = bad;
        spoilt = softmax(spoilt);
        CHECK(spoilt.row(1).array().isNaN().all());
        CHECK(spoilt.row(0) == weights.row(0));
        CHECK(spoilt.row(2) == weights.row(2));
      }
      // NaN among −∞
      Matrix<T> spoilt = scores;
      spoilt.row(1).setConstant(-infinity<T>);
      spoilt(1, j) = nan_of<T>;
      CHECK(softmax(spoilt).row(1).array().isNaN().all());
    }
    Matrix<T> none = scores;
    none.row(1).setConstant(-infinity<T>);
    none = softmax(none);
    CHECK(none.row(1).array().isNaN().all());
    CHECK(none.row(2) == weights.row(2));
  }
}

TEMPLATE_TEST_CASE("rows may lie apart and start off any boundary", "[softmax]", float, double) {
  for (const Index n : widths) {
    CAPTURE(n);
    const Matrix<TestType> scores = Numbers(9).matrix<TestType>(4, n, 3);
    Framed<TestType> framed(scores);
    softmax_rows<TestType>(framed.inside());
    CHECK(worst_error<TestType>(scores, framed.inside()) <= 1);
    CHECK(framed.frame_is_intact());
  }
}

TEST_CASE("no rows are no work", "[softmax]") {
  Matrix<float> none(0, 5);
  CHECK_NOTHROW(softmax_rows<float>(none));
  CHECK(none.cols() == 5);
}
