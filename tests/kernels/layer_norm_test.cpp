#include <linformer/kernels/layer_norm.hpp>

#include "kernels/reference.hpp"
#include "support/catch.hpp"
#include "support/isa.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

using namespace linformer;
using reference::Framed;
using reference::Numbers;

namespace {

constexpr Index widths[] = {1, 2, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 128, 130, 768};

/// The exact layer norm of a row in long double, and how far from it the header allows results to be.
template <Scalar T>
struct ExactRow {
  long double mean = 0, reciprocal = 0, mean_bound = 0, reciprocal_bound = 0;
  std::vector<long double> y, y_bound;

  ExactRow(const Matrix<T>& row, const Vector<T>& weight, const Vector<T>& bias, T epsilon) {
    const Index columns = row.cols();
    const auto count = static_cast<long double>(columns);
    long double magnitude = 0, square = 0;
    for (Index j = 0; j < columns; ++j) {
      mean += static_cast<long double>(row(0, j)) / count;
      magnitude += std::abs(static_cast<long double>(row(0, j))) / count;
    }
    for (Index j = 0; j < columns; ++j) {
      const long double difference = static_cast<long double>(row(0, j)) - mean;
      square += difference * difference / count;
    }
    reciprocal = 1 / std::sqrt(square + static_cast<long double>(epsilon));
    // The bounds follow from these steps. The first mean errs by δ ≤ γ_D·A: D − 1 additions and a division. The
    // differences from it (one rounding each) are on average at most σ + δ, so their mean errs by γ_{D+1}·(σ + δ), and
    // the sum of both is rounded: `mean_bound`. Their mean square is σ² + δ² within γ_{D+3}, less the square of the
    // correction, of which the error is at most γ_{D+1}·(σ + δ)·(2·δ + γ_{D+1}·(σ + δ)); in units of σ² + ε and with
    // q = δ·r that is γ_{D+6}·(1 + 2·q + 3·q² + γ_{D+6}·(1 + q)²) ≤ 1.52·γ_{D+6}·(1 + q)² for q ≤ 1. A power of −1/2
    // halves it, at most 0.79·γ_{D+6}·(1 + q)², and ε, the root and the division add less than three roundings:
    // `reciprocal_bound`. y has four roundings more, of which the last one is of β too.
    using reference::gamma;
    const long double first = gamma<T>(columns) * magnitude, q = first * reciprocal;
    REQUIRE(q <= 1);
    mean_bound = gamma<T>(1) * std::abs(mean) + gamma<T>(columns + 2) * (std::sqrt(square) + first);
    const long double relative = gamma<T>(columns + 9) * (1 + q) * (1 + q);
    reciprocal_bound = relative * reciprocal;
    for (Index j = 0; j < columns; ++j) {
      const long double w = static_cast<long double>(weight(j)), b = static_cast<long double>(bias(j));
      const long double difference = static_cast<long double>(row(0, j)) - mean;
      y.push_back(difference * reciprocal * w + b);
      y_bound.push_back(17.0L / 16 * std::abs(w) * reciprocal *
                            (mean_bound + std::abs(difference) * (relative + gamma<T>(4))) +
                        gamma<T>(2) * std::abs(b));
    }
  }
};

/// What is tested at one width.
template <Scalar T>
struct Case {
  Matrix<T> x;
  Vector<T> weight, bias;
  T epsilon = static_cast<T>(1e-5);

  Case(Index rows, Index columns, double offset = 0, double scale = 1) {
    Numbers numbers(static_cast<std::uint64_t>(1000 * columns + rows));
    x = numbers.matrix<T>(rows, columns, scale).array() + static_cast<T>(offset);
    weight = numbers.matrix<T>(columns, 1, 2);
    bias = numbers.matrix<T>(columns, 1);
  }
  [[nodiscard]] Matrix<T> normalised(Isa isa) const {
    Matrix<T> y(x.rows(), x.cols());
    layer_norm<T>(isa, x, weight, bias, epsilon, y);
    return y;
  }
};

/// Whether both hold the same bits; none of them NaN.
template <Scalar T>
bool same(const Matrix<T>& a, const Matrix<T>& b) {
  return a.rows() == b.rows() && a.cols() == b.cols() && (a.array() == b.array()).all();
}

}  // namespace

TEMPLATE_TEST_CASE("rows are normalised within the stated bounds", "[layer_norm]", float, double) {
  using T = TestType;
  for (const Isa isa : supported_isas()) {
    for (const Index columns : widths) {
      for (const auto& [offset, scale] : {std::pair{0.0, 1.0}, {100.0, 1.0}, {-3.0, 1e-3}, {0.0, 1e4}, {0.5, 0.25}}) {
        const Case<T> c(3, columns, offset, scale);
        Framed<T> x(c.x), y(Matrix<T>::Zero(3, columns));
        std::vector<T> means(3), reciprocals(3);
        layer_norm<T>(isa, x.inside(), c.weight, c.bias, c.epsilon, y.inside(), means, reciprocals);
        long double worst = 0;
        for (Index i = 0; i < 3; ++i) {
          const ExactRow<T> exact(c.x.row(i), c.weight, c.bias, c.epsilon);
          const auto at = static_cast<std::size_t>(i);
          const auto ratio = [](T actual, long double expected, long double bound) {
            const long double error = std::abs(static_cast<long double>(actual) - expected);
            return error == 0 ? 0 : error <= bound ? error / bound : std::numeric_limits<long double>::infinity();
          };
          worst = std::max(worst, ratio(means[at], exact.mean, exact.mean_bound));
          worst = std::max(worst, ratio(reciprocals[at], exact.reciprocal, exact.reciprocal_bound));
          for (Index j = 0; j < columns; ++j) {
            worst = std::max(worst, ratio(y.inside()(i, j), exact.y[static_cast<std::size_t>(j)],
                                          exact.y_bound[static_cast<std::size_t>(j)]));
          }
        }
        CAPTURE(static_cast<int>(isa), columns, offset, scale, static_cast<double>(worst));
        CHECK(worst <= 1);
        CHECK(y.frame_is_intact());
        CHECK(same<T>(x.inside(), c.x));
      }
    }
  }
}

TEMPLATE_TEST_CASE("x and y may be the same memory", "[layer_norm]", float, double) {
  using T = TestType;
  for (const Isa isa : supported_isas()) {
    for (const Index columns : widths) {
      const Case<T> c(4, columns, 2);
      Framed<T> x(c.x);
      layer_norm<T>(isa, x.inside(), c.weight, c.bias, c.epsilon, x.inside());
      CAPTURE(static_cast<int>(isa), columns);
      CHECK(same<T>(x.inside(), c.normalised(isa)));
      CHECK(x.frame_is_intact());
    }
  }
}

TEMPLATE_TEST_CASE("a row's bits depend neither on its place nor on other rows", "[layer_norm]", float, double) {
  using T = TestType;
  for (const Isa isa : supported_isas()) {
    for (const Index columns : widths) {
      const Case<T> c(3, columns, 1);
      const Matrix<T> expected = c.normalised(isa);
      for (Index place = 0; place < 17; ++place) {  // off every boundary, between other rows
        Matrix<T> wide = Numbers(5).matrix<T>(5, columns + 17, 100);
        wide.block(2, place, 1, columns) = c.x.row(1);
        layer_norm<T>(isa, wide.middleCols(place, columns), c.weight, c.bias, c.epsilon,
                      wide.middleCols(place, columns));
        CAPTURE(static_cast<int>(isa), columns, place);
        CHECK(same<T>(wide.block(2, place, 1, columns), expected.row(1)));
      }
    }
  }
}

TEMPLATE_TEST_CASE("a constant row gives the bias, and the mean it is made of", "[layer_norm]", float, double) {
  using T = TestType;
  for (const Isa isa : supported_isas()) {
    for (const Index columns : {1, 3, 7, 8, 17, 33, 100, 768, 1000, 2047, 2048}) {
      Case<T> c(1, columns);
      for (const double value : {0.0, 0.1, -1.0 / 3, 1000.1, -12345.678, 3e-39, 1e17}) {
        c.x.setConstant(static_cast<T>(value));
        Matrix<T> y(1, columns);
        T mean = 0, reciprocal = 0;
        layer_norm<T>(isa, c.x, c.weight, c.bias, c.epsilon, y, {&mean, 1}, {&reciprocal, 1});
        CAPTURE(static_cast<int>(isa), columns, value);
        CHECK(same<T>(y, c.bias.transpose()));
        CHECK(mean == static_cast<T>(value));
        CHECK(std::isfinite(reciprocal));
      }
      c.x.setConstant(T{3});
      c.epsilon = 0;
      CHECK(c.normalised(isa).array().isNaN().all());
    }
  }
}

TEMPLATE_TEST_CASE("NaN, infinities and overflow stay in their row", "[layer_norm]", float, double) {
  using T = TestType;
  using Limits = std::numeric_limits<T>;
  for (const Isa isa : supported_isas()) {
    for (const Index columns : {2, 7, 16, 33, 130}) {
      const Case<T> c(3, columns);
      const Matrix<T> expected = c.normalised(isa);
      for (const T bad : {Limits::quiet_NaN(), Limits::infinity(), -Limits::infinity(), Limits::max()}) {
        for (const Index place : {Index{0}, columns / 2, columns - 1}) {
          Case<T> spoilt = c;
          spoilt.x(1, place) = bad;
          if (bad == Limits::max()) spoilt.x.row(1).setConstant(bad);  // two of them overflow
          const Matrix<T> y = spoilt.normalised(isa);
          CAPTURE(static_cast<int>(isa), columns, bad, place);
          CHECK(y.row(1).array().isNaN().all());
          CHECK(same<T>(y.row(0), expected.row(0)));
          CHECK(same<T>(y.row(2), expected.row(2)));
        }
      }
    }
  }
}

TEMPLATE_TEST_CASE("no rows and no columns are left alone", "[layer_norm]", float, double) {
  using T = TestType;
  for (const Isa isa : supported_isas()) {
    const Case<T> no_rows(0, 5);
    CHECK(no_rows.normalised(isa).rows() == 0);
    Framed<T> y(Matrix<T>(3, 0));
    layer_norm<T>(isa, Matrix<T>(3, 0), Vector<T>(0), Vector<T>(0), T{1}, y.inside());
    CHECK(y.frame_is_intact());
  }
}
