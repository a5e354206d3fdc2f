#include <linformer/kernels/attend_tile.hpp>

#include "kernels/reference.hpp"
#include "support/catch.hpp"
#include "support/isa.hpp"

#include <algorithm>
#include <cmath>
#include <functional>
#include <initializer_list>
#include <limits>
#include <vector>

using namespace linformer;
using reference::Numbers;

namespace {

/// What a tile calls with its weights and sums; one type for all, which compiles faster than a lambda for each test.
template <Scalar T>
using Hook = std::function<void(MatrixRef<T> weights, const ConstMatrixRef<T>& sums)>;

template <Scalar T>
const Hook<T> ignore = [](MatrixRef<T> /*weights*/, const ConstMatrixRef<T>& /*sums*/) {};

/// One problem of m queries and c keys of width d.
template <Scalar T>
struct Problem {
  Matrix<T> queries, keys, values;
  std::vector<T> bias{};  ///< of the scores, or empty
  Isa isa;

  Problem(Index m, Index c, Index d, double scale, bool biased, Isa path) : isa(path) {
    Numbers numbers(static_cast<std::uint64_t>(10000 * m + 100 * c + d));
    queries = numbers.matrix<T>(m, d, scale);
    keys = numbers.matrix<T>(c, d);
    values = numbers.matrix<T>(c, d + 1, 3);  // values may have a width of their own
    for (Index j = 0; biased && j < c; ++j) bias.push_back(static_cast<T>(4 * numbers.next()));
  }

  /// By AttendTile, keys in tiles of the given sizes.
  Matrix<T> attended(const std::vector<Index>& tiles, const Hook<T>& on_weights = ignore<T>) const {
    Workspace workspace;
    const Workspace::Scope scope(workspace);
    AttendTile<T> tile(*std::max_element(tiles.begin(), tiles.end()), queries.rows() + 3, {workspace, isa});
    const Matrix<T> query_columns = queries.transpose(), key_columns = keys.transpose();
    Matrix<T> out = Matrix<T>::Constant(values.cols(), queries.rows(), std::numeric_limits<T>::quiet_NaN());
    tile.begin(queries.rows());
    Index key = 0;
    for (const Index count : tiles) {
      tile.absorb(query_columns, key_columns.middleCols(key, count), values.middleRows(key, count),
                  bias.empty() ? nullptr : bias.data() + key, out, key + count == keys.rows(), on_weights);
      key += count;
    }
    return out.transpose();
  }

  /// Largest error of `actual` in units of its bound.
  ///
  /// A score errs by δ ≤ γ_{d+1}·(|q||k| + |b|); its distance to the maximum is rounded, u·range. Both are absolute
  /// errors of the argument of exp, hence relative ones of the weight. exp errs by 4u, and each of t tiles rescales
  /// once (exp 4u, the product u, its argument's roundings again u·range in all). Sum and weighed sum of c terms add
  /// γ_{c+t} each, reciprocal and product 2u. With η the sum of these for one weight, numerator and denominator are
  /// each within e^η. A weight below the smallest normal number may be lost.
  long double worst_error(const Matrix<T>& actual, Index tiles) const {
    constexpr long double u = reference::unit<T>;
    const Index c = keys.rows();
    const auto largest_value = static_cast<long double>(values.cwiseAbs().maxCoeff());
    const reference::Exact scores = reference::product<T>(queries, keys.transpose());
    long double worst = 0;
    for (Index i = 0; i < queries.rows(); ++i) {
      std::vector<long double> weights;
      long double delta = 0, largest = -std::numeric_limits<long double>::infinity(), smallest = -largest, sum = 0;
      for (Index j = 0; j < c; ++j) {
        const long double b = bias.empty() ? 0.0L : static_cast<long double>(bias[static_cast<std::size_t>(j)]);
        weights.push_back(scores.value(i, j) + b);
        delta = std::max(delta, reference::gamma<T>(keys.cols() + 1) * (scores.magnitude(i, j) + std::abs(b)));
        largest = std::max(largest, weights.back());
        smallest = std::min(smallest, weights.back());
      }
      for (long double& weight : weights) sum += weight = std::exp(weight - largest);
      const long double eta = delta + 2 * u * (largest - smallest) + (4 + 5 * static_cast<long double>(tiles) + 1) * u +
                              reference::gamma<T>(c + tiles);
      for (Index column = 0; column < values.cols(); ++column) {
        long double exact = 0, magnitude = 0;
        for (Index j = 0; j < c; ++j) {
          const long double term =
              weights[static_cast<std::size_t>(j)] / sum * static_cast<long double>(values(j, column));
          exact += term;
          magnitude += std::abs(term);
        }
        const long double error = std::abs(static_cast<long double>(actual(i, column)) - exact);
        const long double lost = static_cast<long double>(c) * std::numeric_limits<T>::min() * largest_value;
        const long double ratio = error / (std::expm1(2 * eta) * magnitude + lost);
        if (!(ratio <= worst)) worst = ratio;
        if (std::isnan(worst)) return worst;
      }
    }
    return worst;
  }
};

/// Ways to cut c keys into tiles.
std::vector<std::vector<Index>> cuts(Index c) {
  std::vector<std::vector<Index>> result{{c}};
  for (const Index tile : {Index{1}, Index{3}, Index{16}}) {
    std::vector<Index> tiles;
    for (Index key = 0; key < c; key += tile) tiles.push_back(std::min(tile, c - key));
    result.push_back(tiles);
  }
  if (c >= 2) {
    result.push_back({1, c - 1});
    result.push_back({c - 1, 1});
  }
  return result;
}

template <Scalar T>
constexpr T infinity = std::numeric_limits<T>::infinity();

}  // namespace

TEMPLATE_TEST_CASE("attention of a tile is within its bound of the formula, however the keys are cut", "[attend_tile]",
                   float, double) {
  const Isa isa = GENERATE(from_range(supported_isas()));
  struct Sizes {
    Index m, c, d;
  };
  for (const auto& [m, c, d] :
       std::initializer_list<Sizes>{{1, 1, 1}, {1, 9, 4}, {5, 1, 3}, {7, 33, 8}, {20, 100, 16}}) {
    for (const double scale : {0.1, 3.0, 100.0}) {
      for (const bool biased : {false, true}) {
        const Problem<TestType> problem(m, c, d, scale, biased, isa);
        for (const auto& tiles : cuts(c)) {
          CAPTURE(m, c, d, scale, biased, tiles.size(), tiles.front());
          CHECK(problem.worst_error(problem.attended(tiles), static_cast<Index>(tiles.size())) <= 1);
        }
      }
    }
  }
}

TEST_CASE("a tile can be used again for fewer rows and keys", "[attend_tile]") {
  const Isa isa = GENERATE(from_range(supported_isas()));
  const Problem<double> large(9, 20, 5, 1, false, isa), small(4, 7, 5, 1, false, isa);
  Workspace workspace;
  const Workspace::Scope scope(workspace);
  AttendTile<double> tile(20, 9, {workspace, isa});
  for (const auto* problem : {&large, &small, &large}) {
    Matrix<double> out(problem->values.cols(), problem->queries.rows());
    tile.begin(problem->queries.rows());
    tile.absorb(Matrix<double>(problem->queries.transpose()), Matrix<double>(problem->keys.transpose()),
                problem->values, nullptr, out, true, ignore<double>);
    CHECK(problem->worst_error(out.transpose(), 1) <= 1);
  }
}

TEST_CASE("the hook sees the weights of each tile and the sums so far", "[attend_tile]") {
  const Isa isa = GENERATE(from_range(supported_isas()));
  const Problem<double> problem(3, 10, 4, 2, true, isa);
  Matrix<double> scores = reference::product<double>(problem.queries, problem.keys.transpose()).value.cast<double>();
  for (Index j = 0; j < 10; ++j) scores.col(j).array() += problem.bias[static_cast<std::size_t>(j)];
  // Scores below 10 in magnitude err by γ_5·10 or so, and so do their exponentials, relatively; the sums of ten
  // likewise.
  const double tolerance = 1e-14;
  Index key = 0, calls = 0;
  problem.attended({4, 1, 5}, [&](MatrixRef<double> weights, const auto& sums) {
    ++calls;
    REQUIRE(weights.cols() == 3);
    for (Index i = 0; i < 3; ++i) {
      const double maximum = scores.row(i).head(key + weights.rows()).maxCoeff();
      for (Index j = 0; j < weights.rows(); ++j) {
        CHECK(weights(j, i) == Approx(std::exp(scores(i, key + j) - maximum)).epsilon(tolerance));
      }
      CHECK(sums(0, i) ==
            Approx((scores.row(i).head(key + weights.rows()).array() - maximum).exp().sum()).epsilon(tolerance));
    }
    key += weights.rows();
  });
  CHECK(calls == 3);
  CHECK(key == 10);
}

TEST_CASE("a query all of whose scores are minus infinity is NaN", "[attend_tile]") {
  const Isa isa = GENERATE(from_range(supported_isas()));
  Problem<float> problem(3, 10, 4, 1, true, isa);
  std::fill(problem.bias.begin(), problem.bias.end(), -infinity<float>);
  for (const auto& tiles : cuts(10)) CHECK(problem.attended(tiles).array().isNaN().all());
}

TEST_CASE("what the hook does to the weights changes the result and not the sums", "[attend_tile]") {
  const Isa isa = GENERATE(from_range(supported_isas()));
  const Problem<float> problem(4, 12, 3, 1, false, isa);
  for (const auto& tiles : {std::vector<Index>{12}, std::vector<Index>{5, 7}}) {
    // Weights doubled, a power of two: so is the result, exactly, as the sums stay.
    const Matrix<float> doubled =
        problem.attended(tiles, [](MatrixRef<float> weights, const auto&) { weights *= 2.0F; });
    CHECK(doubled == 2.0F * problem.attended(tiles));
    CHECK(problem.attended(tiles, [](MatrixRef<float> weights, const auto&) { weights.setZero(); }).isZero(0));
  }
}

TEMPLATE_TEST_CASE("NaN reaches what depends on it and nothing else", "[attend_tile]", float, double) {
  const Isa isa = GENERATE(from_range(supported_isas()));
  using T = TestType;
  constexpr T nan = std::numeric_limits<T>::quiet_NaN();
  const Problem<T> problem(6, 11, 4, 1, false, isa);
  for (const auto& tiles : cuts(11)) {
    CAPTURE(tiles.size(), tiles.front());
    const Matrix<T> expected = problem.attended(tiles);
    Problem<T> spoilt = problem;  // a query: its own row
    spoilt.queries(2, 1) = nan;
    Matrix<T> out = spoilt.attended(tiles);
    CHECK(out.row(2).array().isNaN().all());
    out.row(2) = expected.row(2);
    CHECK(out == expected);
    spoilt = problem;  // a value: its own column
    spoilt.values(7, 3) = nan;
    out = spoilt.attended(tiles);
    CHECK(out.col(3).array().isNaN().all());
    out.col(3) = expected.col(3);
    CHECK(out == expected);
    for (const Index key : {0, 5, 10}) {  // a key: everything
      spoilt = problem;
      spoilt.keys(key, 0) = nan;
      CHECK(spoilt.attended(tiles).array().isNaN().all());
    }
  }
}

TEMPLATE_TEST_CASE("scores of minus infinity get no weight, however the keys are cut", "[attend_tile]", float, double) {
  const Isa isa = GENERATE(from_range(supported_isas()));
  using T = TestType;
  Problem<T> problem(5, 40, 4, 1, true, isa);
  for (const Index absent : {1, 3, 10, 39}) {  // the first of the keys
    Problem<T> masked = problem, present = problem;
    std::fill_n(masked.bias.begin(), absent, -infinity<T>);
    present.keys = Matrix<T>(problem.keys.bottomRows(40 - absent));
    present.values = Matrix<T>(problem.values.bottomRows(40 - absent));
    present.bias.erase(present.bias.begin(), present.bias.begin() + absent);
    const auto worst_error = [&](const std::vector<Index>& tiles) {
      return present.worst_error(masked.attended(tiles), static_cast<Index>(tiles.size()));
    };
    CAPTURE(absent);
    CHECK(worst_error({40}) <= 1);
    CHECK(worst_error({absent, 40 - absent}) <= 1);  // a tile without any weight
    CHECK(worst_error(std::vector<Index>(40, 1)) <= 1);
  }
}
