#include <linformer/attention/projection.hpp>

#include "support/catch.hpp"

using namespace linformer;

static_assert(SequenceProjection<LearnedProjection<float>, float>);
static_assert(SequenceProjection<FixedProjection<double>, double>);
static_assert(SequenceProjection<MeanPooling<float>, float>);
static_assert(SequenceProjection<GrowingPooling<float>, float>);
static_assert(SequenceProjection<MaxPooling<float>, float>);
static_assert(SequenceProjection<Convolution<float>, float>);
static_assert(SequenceProjection<DepthwiseConvolution<double>, double>);
static_assert(!SequenceProjection<Windows, float>);

TEST_CASE("windows tile the sequence: row i takes tokens floor(i n/k) to floor((i + 1) n/k) - 1") {
  for (Index n = 1; n <= 40; ++n) {
    for (Index k = 1; k <= n; ++k) {
      const Windows windows(k, n);
      bool right = windows.rows() == k && windows.columns() == n;
      for (Index i = 0; i < k; ++i) {
        right = right && windows.first(i) == i * n / k;
        for (Index t = i * n / k; t < (i + 1) * n / k; ++t) right = right && windows.row_of(t) == i;
      }
      CAPTURE(n, k);
      CHECK(right);
    }
  }
}

TEST_CASE("windows of a text tile it, single tokens first, and grow") {
  for (Index m = 1; m <= 60; ++m) {
    for (Index k = 1; k <= 40; ++k) {
      const GrowingWindows windows(k, 60);
      const Index r = std::min(k, m);
      std::vector<Index> sizes(static_cast<std::size_t>(k), 0);
      Index tokens = 0, last = 0;
      windows.for_each_row({0, m}, [&](Index j, Index row) {
        tokens += j == tokens && last <= row && row <= last + 1 ? 1 : 0;  // each in order, no row left out
        last = row;
        ++sizes[static_cast<std::size_t>(row)];
      });
      CAPTURE(m, k);
      CHECK(tokens == m);
      CHECK(last == r - 1);
      if (k >= 2 && m >= k) CHECK(sizes[0] <= sizes[static_cast<std::size_t>(k - 1)]);
      for (Index i = 0; i < r; ++i) CHECK(GrowingWindows::first(i, r, m) == i + (m - r) * i * i * i / (r * r * r));
      for (Index t = 0; t < m; ++t) {  // found from any token on
        windows.for_each_row(Positions{0, m}.slice(t, 1), [&](Index, Index row) {
          CHECK((GrowingWindows::first(row, r, m) <= t && (row + 1 == r || t < GrowingWindows::first(row + 1, r, m))));
        });
      }
    }
  }
}

TEST_CASE("the maximum of anything and NaN is NaN") {
  constexpr MaximumOrNan larger;
  const double nan = std::numeric_limits<double>::quiet_NaN(), infinity = std::numeric_limits<double>::infinity();
  CHECK(larger(1.0, 2.0) == 2);
  CHECK(larger(2.0, 1.0) == 2);
  CHECK(larger(-infinity, -3.0) == -3);
  CHECK(std::isnan(larger(nan, infinity)));
  CHECK(std::isnan(larger(infinity, nan)));
}
