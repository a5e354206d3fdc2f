#include <linformer/attention/attend.hpp>

#include "support/attention_support.hpp"

namespace {

/// softmax(Q·Kᵀ/√d)·V in double, and its bound, derived as that of oracle::forward.
oracle::Result expected(const oracle::Table& q, const oracle::Table& k, const oracle::Table& v) {
  REQUIRE(q.cols() == k.cols());
  const double root = std::sqrt(static_cast<double>(q.cols()));
  oracle::Result result{oracle::Table::Zero(q.rows(), v.cols()), oracle::Table::Zero(q.rows(), v.cols()), {}, {}};
  const auto keys = static_cast<double>(k.rows());
  for (Index i = 0; i < q.rows(); ++i) {
    std::vector<double> scores;
    double largest = -std::numeric_limits<double>::infinity(), worst = 0, size = 0, sum = 0;
    for (Index j = 0; j < k.rows(); ++j) {
      double score = 0, terms = 0;
      for (Index c = 0; c < q.cols(); ++c) {
        score += q(i, c) * k(j, c) / root;
        terms += std::abs(q(i, c) * k(j, c)) / root;
      }
      scores.push_back(score);
      largest = std::max(largest, score);
      worst = std::max(worst, static_cast<double>(q.cols() + 4) * terms);
      size = std::max(size, std::abs(score));
    }
    for (const double score : scores) sum += std::exp(score - largest);
    const double tiles = std::ceil(keys / 512);
    const double relative = 2 * (worst + (1 + tiles) * 2 * size + 2 + 4 * tiles) + 2 * keys + 6;  // as in the oracle
    for (Index j = 0; j < k.rows(); ++j) {
      for (Index c = 0; c < v.cols(); ++c) {
        const double term = std::exp(scores[static_cast<std::size_t>(j)] - largest) / sum * v(j, c);
        result.y(i, c) += term;
        result.y_error(i, c) += relative * std::abs(term);
      }
    }
  }
  return result;
}

}  // namespace

TEMPLATE_TEST_CASE("attend is softmax(QK'/sqrt(d))V", "", float, double) {
  using T = TestType;
  const struct {
    Index queries, keys, d, value_width;
  } cases[] = {{1, 1, 1, 1}, {3, 5, 4, 2}, {129, 7, 3, 5}, {5, 513, 8, 3}, {300, 1100, 16, 16}, {0, 4, 3, 3}};
  for (const auto& shape : cases) {
    const Matrix<T> q = 4 * random_matrix<T>(shape.queries, shape.d, 1), k = random_matrix<T>(shape.keys, shape.d, 2);
    const Matrix<T> v = random_matrix<T>(shape.keys, shape.value_width, 3);
    const auto result = expected(exact(q), exact(k), exact(v));
    CAPTURE(shape.queries, shape.keys, shape.d);
    CHECK(worst_ratio(attend(q, k, v), result.y, result.y_error) <= 1);
  }
}

TEST_CASE("attend with E and F is Eq. 7, cut to the keys there are") {
  const Matrix<double> q = random_matrix<double>(9, 4, 1), context = random_matrix<double>(11, 8, 2);
  const Matrix<double> k = context.leftCols(4), v = context.rightCols(4);
  const Matrix<double> e = random_matrix<double>(5, 16, 4), f = random_matrix<double>(5, 16, 5);
  // A layer of one head whose weights pick K and V out of the context.
  const oracle::Table one = oracle::Table::Identity(4, 4);
  oracle::Table left(4, 8), right(4, 8);
  left << one, oracle::Table::Zero(4, 4);
  right << oracle::Table::Zero(4, 4), one;
  oracle::Layer layer;
  layer.heads = 1;
  layer.query.weight = layer.output.weight = one;
  layer.key.weight = left;
  layer.value.weight = right;
  layer.e = {{.k = 5, .n = 16, .e = e, .kernel = {}, .r = {}}};
  layer.f = {{.k = 5, .n = 16, .e = f, .kernel = {}, .r = {}}};
  const auto result = oracle::forward(layer, q, context);
  CHECK(worst_ratio(attend(q, k, v, e, f), result.y, result.y_error) <= 1);

  // With k = n and identities it is Eq. 2, and any Eigen expression will do.
  const Matrix<double> identity = Matrix<double>::Identity(11, 11);
  CHECK(same_bits(attend(q, k, v, identity, identity), attend(q, k, v)));
  CHECK(same_bits(project(identity, k), k));
  using ColumnMajor = Eigen::MatrixXd;
  const ColumnMajor q_columns = q, k_columns = k, e_columns = e;
  CHECK(same_bits(attend(q_columns, k_columns, 1.0 * v, e_columns, f), attend(q, k, v, e, f)));
}

TEST_CASE("attention to no keys is zero") {
  const Matrix<float> q = random_matrix<float>(3, 2, 1), none(0, 2), e = random_matrix<float>(4, 8, 1);
  CHECK(attend(q, none, none).isZero(0));
  CHECK(attend(q, none, none).rows() == 3);
}

TEST_CASE("keys whose scores are minus infinity have no weight, wherever they stand") {
  // A whole tile of them and more: first, last, and between.
  Matrix<double> q(2, 1), k = random_matrix<double>(1600, 1, 2);
  const Matrix<double> v = random_matrix<double>(1600, 2, 3);
  q << 1, 2;
  for (const Index first : {0, 512, 1000}) {
    const Index last = first + 600;
    Matrix<double> blocked = k, k_left(1000, 1), v_left(1000, 2);
    blocked.middleRows(first, 600).setConstant(-std::numeric_limits<double>::infinity());
    k_left << k.topRows(first), k.bottomRows(1600 - last);
    v_left << v.topRows(first), v.bottomRows(1600 - last);
    const auto result = expected(q, k_left, v_left);
    CAPTURE(first);
    CHECK(worst_ratio(attend(q, blocked, v), result.y, 2 * result.y_error) <= 1);  // twice as many tiles
  }
}

TEST_CASE("shapes that do not fit attend") {
  const auto m = [](Index rows, Index cols) { return Matrix<float>(Matrix<float>::Zero(rows, cols)); };
  check_error([&] { (void)attend(m(2, 3), m(4, 2), m(4, 3)); }, ErrorCode::shape_mismatch, "k");
  check_error([&] { (void)attend(m(2, 3), m(4, 3), m(5, 3)); }, ErrorCode::shape_mismatch, "v");
  check_error([&] { (void)attend(m(2, 3), m(4, 3), m(5, 3), m(2, 8), m(2, 8)); }, ErrorCode::shape_mismatch, "v");
  check_error([&] { (void)attend(m(2, 3), m(4, 3), m(4, 3), m(2, 8), m(3, 8)); }, ErrorCode::shape_mismatch, "f");
  check_error([&] { (void)attend(m(2, 3), m(9, 3), m(9, 3), m(2, 8), m(2, 8)); }, ErrorCode::sequence_too_long, "x");
}
