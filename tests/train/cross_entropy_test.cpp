#include <linformer/train/cross_entropy.hpp>

#include "support/catch.hpp"
#include "support/fixtures.hpp"

#include <cmath>
#include <limits>
#include <string>
#include <vector>

using namespace linformer;

namespace {

template <Scalar T>
constexpr double unit = std::numeric_limits<T>::epsilon();

/// Logits between −8 and 8, labels, and weights between 1/8 and 17/8.
template <Scalar T>
struct Problem {
  Problem(Index rows, Index classes) : logits(rows, classes), weights(static_cast<std::size_t>(classes)) {
    const RandomStream stream(7);
    fill_symmetric_uniform(std::span<T>(logits.data(), static_cast<std::size_t>(logits.size())), stream.derive(0), 8);
    fill_symmetric_uniform(std::span<T>(weights), stream.derive(1), 1);
    for (T& weight : weights) weight += T(1.125);
    for (Index i = 0; i < rows; ++i) labels.push_back(static_cast<std::int32_t>(i * 31 % classes));
  }
  Matrix<T> logits;
  std::vector<T> weights;
  std::vector<std::int32_t> labels;
};

/// The formula in long double, without a maximum subtracted: exp(8) is far from overflow.
template <Scalar T>
long double plain_loss(const Matrix<T>& logits, Index row, Index label, double smoothing, const std::vector<T>& w) {
  long double sum = 0, each = 0;
  for (Index j = 0; j < logits.cols(); ++j) sum += std::exp(static_cast<long double>(logits(row, j)));
  const auto loss = [&](Index j) {
    const long double weight = w.empty() ? 1 : static_cast<long double>(w[static_cast<std::size_t>(j)]);
    return weight * (std::log(sum) - static_cast<long double>(logits(row, j)));
  };
  for (Index j = 0; j < logits.cols(); ++j) each += loss(j);
  return (1 - smoothing) * loss(label) + smoothing * each / static_cast<long double>(logits.cols());
}

}  // namespace

// The tolerances: of sums of exponentials, each within 5 units in the last place (Eigen's exp) and 1 of the difference
// that it takes, a difference d costing d·exp(−d) < 1/2 at most, a probability is within 8 units; two more roundings
// for the scale, one for the target. The weights are below 2.2.

TEMPLATE_TEST_CASE("cross-entropy, smoothed and weighted, is PyTorch's", "[cross_entropy]", float, double) {
  using T = TestType;
  auto cases = read_fixtures("training.txt");
  for (const char* name :
       {"cross_entropy", "cross_entropy_smoothed", "cross_entropy_weighted", "cross_entropy_smoothed_weighted"}) {
    CAPTURE(name);
    REQUIRE(cases.count(name) == 1);
    const oracle::Parameters& expected = cases[name];
    Matrix<T> logits = expected.at("logits").cast<T>();
    std::vector<std::int32_t> labels;
    for (const double label : expected.at("labels").reshaped()) labels.push_back(static_cast<std::int32_t>(label));
    const Matrix<T> weights = oracle::find(expected, "class_weights").cast<T>();
    const CrossEntropyOptions<T> options{.smoothing = expected.at("smoothing")(0, 0),
                                         .class_weights = {weights.data(), static_cast<std::size_t>(weights.size())}};
    const LossSum sum = cross_entropy_gradient<T>(logits, labels, 1, options);
    const double tolerance = 32 * unit<T>;
    // float rounds logits below 8 to begin with: half a unit of 8 each.
    const double of_logits = std::is_same_v<T, float> ? 16 * unit<T> : 0;
    CHECK(std::abs(sum.loss - expected.at("sum")(0, 0)) <= 5 * 2.2 * (tolerance + of_logits));
    CHECK(std::abs(sum.mean() - expected.at("mean")(0, 0)) <= 5 * 2.2 * (tolerance + of_logits));
    CHECK((logits.template cast<double>() - expected.at("gradient")).cwiseAbs().maxCoeff() <=
          2.2 * (tolerance + of_logits));
  }
}

TEMPLATE_TEST_CASE("losses are those of the formula at any number of classes", "[cross_entropy]", float, double) {
  using T = TestType;
  for (const Index classes : {1, 2, 63, 64, 65, 200}) {
    for (const double smoothing : {0.0, 0.1, 1.0}) {
      const Problem<T> problem(9, classes);
      for (const bool weighted : {false, true}) {
        CAPTURE(classes, smoothing, weighted);
        const std::vector<T> weights = weighted ? problem.weights : std::vector<T>();
        long double loss = 0, weight = 0;
        for (Index i = 0; i < 9; ++i) {
          const Index label = problem.labels[static_cast<std::size_t>(i)];
          loss += plain_loss(problem.logits, i, label, smoothing, weights);
          weight += weighted ? static_cast<long double>(weights[static_cast<std::size_t>(label)]) : 1;
        }
        const CrossEntropyOptions<T> options{.smoothing = smoothing, .class_weights = weights};
        const LossSum sum = cross_entropy<T>(problem.logits, problem.labels, options);
        // Nine rows, each a logarithm off by 8 units times a weight, and sums in double of terms below 2.2 · 21.
        CHECK(std::abs(sum.loss - static_cast<double>(loss)) <=
              9 * 2.2 * (8 * unit<T> + (21.0 * static_cast<double>(classes) + 50) * unit<double>));
        CHECK(sum.weight == Approx(static_cast<double>(weight)).epsilon(10 * unit<double>));
        Matrix<T> gradient = problem.logits;
        CHECK(cross_entropy_gradient<T>(gradient, problem.labels, 0.5, options).loss == sum.loss);
      }
    }
  }
}

TEST_CASE("the gradient is what central differences of the formula give, times the scale", "[cross_entropy]") {
  const double scale = 0.375;
  for (const double smoothing : {0.0, 0.2}) {
    for (const bool weighted : {false, true}) {
      CAPTURE(smoothing, weighted);
      const Problem<double> problem(3, 70);
      const std::vector<double> weights = weighted ? problem.weights : std::vector<double>();
      Matrix<double> gradient = problem.logits, logits = problem.logits;
      cross_entropy_gradient<double>(gradient, problem.labels, scale,
                                     {.smoothing = smoothing, .class_weights = weights});
      for (Index i = 0; i < 3; ++i) {
        for (Index j = 0; j < 70; ++j) {
          const double before = logits(i, j), above = before + 1e-4, below = before - 1e-4;
          const Index label = problem.labels[static_cast<std::size_t>(i)];
          logits(i, j) = above;
          const long double f_above = plain_loss(logits, i, label, smoothing, weights);
          logits(i, j) = below;
          const long double f_below = plain_loss(logits, i, label, smoothing, weights);
          logits(i, j) = before;
          const auto numeric = static_cast<double>((f_above - f_below) / static_cast<long double>(above - below));
          // The third derivative of log Σ exp is below 1/8, so the difference is off by less than 2.2/8·h²/6.
          CHECK(std::abs(gradient(i, j) - scale * numeric) <= 1e-9);
        }
      }
    }
  }
}

TEMPLATE_TEST_CASE("tiles, strides and the rows around change no bit of a gradient", "[cross_entropy]", float, double) {
  using T = TestType;
  const Problem<T> problem(12, 131);
  const CrossEntropyOptions<T> options{.smoothing = 0.1, .class_weights = problem.weights};
  Matrix<T> whole = problem.logits;
  const LossSum sum = cross_entropy_gradient<T>(whole, problem.labels, 0.25, options);
  Matrix<T> wide = Matrix<T>::Constant(12, 150, 5);
  wide.middleCols(3, 131) = problem.logits;
  LossSum tiles;
  for (Index begin = 0; begin < 12; begin += 5) {
    const Index rows = std::min<Index>(5, 12 - begin);
    tiles += cross_entropy_gradient<T>(
        wide.block(begin, 3, rows, 131),
        std::span(problem.labels).subspan(static_cast<std::size_t>(begin), static_cast<std::size_t>(rows)), 0.25,
        options);
  }
  CHECK(wide.middleCols(3, 131) == whole);
  CHECK((wide.leftCols(3).array() == 5).all());
  CHECK((wide.rightCols(16).array() == 5).all());
  CHECK(tiles.loss == Approx(sum.loss).epsilon(12 * unit<double>));
  CHECK(tiles.weight == Approx(sum.weight).epsilon(12 * unit<double>));
}

TEMPLATE_TEST_CASE("logits of any size make no overflow", "[cross_entropy]", float, double) {
  using T = TestType;
  Matrix<T> logits(3, 4);
  logits << 10000, 0, -10000, 0,  //
      10000, 0, -10000, 0,        //
      -30000, -30000, -30000, -30000;
  const std::vector<std::int32_t> labels{0, 2, 1};
  CHECK(cross_entropy<T>(logits.row(0), std::span(labels).first(1)).loss == 0);
  CHECK(cross_entropy<T>(logits.row(1), std::span(labels).subspan(1, 1)).loss == 20000);
  cross_entropy_gradient<T>(logits, labels, 1);
  Matrix<T> expected(3, 4);
  expected << 0, 0, 0, 0, 1, 0, -1, 0, T(0.25), T(-0.75), T(0.25), T(0.25);
  // Eigen's exp ends at 1e-38 and 1e-307, not at 0.
  CHECK((logits - expected).cwiseAbs().maxCoeff() <= T(1e-37));
}

TEMPLATE_TEST_CASE("what is not finite makes its row not finite", "[cross_entropy]", float, double) {
  using T = TestType;
  for (const T bad : {std::numeric_limits<T>::quiet_NaN(), std::numeric_limits<T>::infinity()}) {
    for (const Index column : {0, 40, 69}) {
      CAPTURE(bad, column);
      Problem<T> problem(3, 70);
      Matrix<T> good = problem.logits;
      cross_entropy_gradient<T>(good, problem.labels, 1);
      problem.logits(1, column) = bad;
      CHECK(std::isnan(cross_entropy_gradient<T>(problem.logits, problem.labels, 1).loss));
      CHECK(problem.logits.row(0) == good.row(0));
      CHECK(problem.logits.row(1).array().isNaN().all());
      CHECK(problem.logits.row(2) == good.row(2));
    }
  }
}

TEST_CASE("a class of logit minus infinity has no part in the loss", "[cross_entropy]") {
  Matrix<double> logits(1, 3);
  logits << 1, -std::numeric_limits<double>::infinity(), 1;
  const std::vector<std::int32_t> labels{0};
  CHECK(cross_entropy<double>(logits, labels).loss == Approx(std::log(2.0)).epsilon(1e-15));
}

TEST_CASE("labels that are no class are errors that name their row, and nothing changes", "[cross_entropy]") {
  const Problem<float> problem(4, 5);
  for (const std::int32_t label : {-1, 5, -100}) {
    std::vector<std::int32_t> labels = problem.labels;
    labels[2] = label;
    Matrix<float> logits = problem.logits;
    try {
      cross_entropy_gradient<float>(logits, labels, 1, {.first_row = 100});
      FAIL_CHECK("nothing was thrown");
    } catch (const Error& error) {
      CHECK(error.code() == ErrorCode::out_of_range);
      CHECK(error.tensor() == "label of row 102");
      CHECK(error.expected() == "0 to 4");
      CHECK(error.actual() == std::to_string(label));
    }
    CHECK(logits == problem.logits);
  }
}

TEST_CASE("shapes and smoothing that do not fit are errors", "[cross_entropy]") {
  const Problem<float> problem(4, 5);
  const auto code = [&](std::size_t labels, const CrossEntropyOptions<float>& options) {
    try {
      static_cast<void>(cross_entropy<float>(problem.logits, std::span(problem.labels).first(labels), options));
    } catch (const Error& error) {
      return error.code();
    }
    return ErrorCode::aliasing;
  };
  CHECK(code(3, {}) == ErrorCode::shape_mismatch);
  CHECK(code(4, {.class_weights = std::span(problem.weights).first(4)}) == ErrorCode::shape_mismatch);
  CHECK(code(4, {.smoothing = -0.1}) == ErrorCode::invalid_configuration);
  CHECK(code(4, {.smoothing = 1.1}) == ErrorCode::invalid_configuration);
  CHECK(code(4, {.smoothing = std::numeric_limits<double>::quiet_NaN()}) == ErrorCode::invalid_configuration);
  CHECK(code(4, {}) == ErrorCode::aliasing);
}
