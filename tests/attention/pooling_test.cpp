#include <linformer/attention/pooling.hpp>

#include "support/projection_support.hpp"

TEST_CASE("mean pooling sums its window, for its owner to divide by the count") {
  for (const Index k : {1, 7, 30}) {
    const MeanPooling<float> pooling{Windows(k, 30)};
    check_accumulate<float>(
        pooling, 4, [&](Index i, Index t, Index) { return i * 30 / k <= t && t < (i + 1) * 30 / k ? 1.0 : 0.0; });
  }
}

TEST_CASE("growing pooling sums the windows of the text that its tokens are of") {
  constexpr Index n = 30;
  for (const Index k : {1, 7, 30}) {
    for (const Index whole : {Index{1}, Index{8}, n}) {
      const GrowingPooling<double> pooling{GrowingWindows(k, n), true};
      const Index r = std::min(k, whole);
      Matrix<double> expected = Matrix<double>::Zero(k, 1), sum = expected, parts = expected;
      const Matrix<double> x = Matrix<double>::Ones(whole, 1);  // so that sums are counts, exact in any order
      for (Index i = 0; i < r; ++i) {
        const auto begin = [&](Index row) { return row + (whole - r) * row * row * row / (r * r * r); };
        expected(i, 0) = static_cast<double>(begin(i + 1) - begin(i));
      }
      Vector<double> ones = Vector<double>::Zero(k);
      Workspace workspace;
      const Compute compute{workspace, default_isa()};
      pooling.accumulate({0, whole}, x, sum, &ones, compute);
      for (Index t = 0; t < whole; ++t) {
        pooling.accumulate(Positions{0, whole}.slice(t, 1), x.topRows(1), parts, nullptr, compute);
      }
      CAPTURE(k, whole);
      CHECK(sum == expected);
      CHECK(Matrix<double>(ones) == expected);
      CHECK(parts == expected);
    }
  }
}

TEST_CASE("max pooling takes the largest of each feature in its window") {
  constexpr Index k = 4, n = 10;
  const MaxPooling<float> pooling{Windows(k, n)};
  Matrix<float> x = random_matrix<float>(n, 3, 1);
  x(6, 1) = nan_float;
  x(0, 2) = infinity_float;
  x(9, 0) = -infinity_float;
  const std::vector<Index> list{0, 1, 4, 6, 9};
  const Matrix<float> low = Matrix<float>::Constant(k, 3, -infinity_float);
  Workspace workspace;
  for (const bool listed : {false, true}) {
    Matrix<float> out = low, expected = low, rows = x;
    const Positions tokens = listed ? Positions{0, 5, list.data()} : Positions{0, n};
    if (listed) {
      rows.resize(5, 3);
      for (Index j = 0; j < 5; ++j) rows.row(j) = x.row(list[static_cast<std::size_t>(j)]);
    }
    for (Index i = 0; i < k; ++i) {
      for (Index j = 0; j < tokens.count; ++j) {
        if (tokens[j] < i * n / k || tokens[j] >= (i + 1) * n / k) continue;
        for (Index c = 0; c < 3; ++c) {
          const float value = rows(j, c);
          if (std::isnan(value) || value > expected(i, c)) expected(i, c) = value;
        }
      }
    }
    expected(2, 1) = nan_float;  // token 6; whatever came after it
    pooling.accumulate(tokens, rows, out, nullptr, {workspace, default_isa()});
    CHECK((out.array().isNaN() == expected.array().isNaN()).all());
    CHECK((out.array() == expected.array() || out.array().isNaN()).all());
    if (listed) CHECK(out.row(1)(0) == x(4, 0));  // tokens 2 and 3 are absent
  }
}
