#include <linformer/attention/projection.hpp>

#include "support/catch.hpp"

using namespace linformer;

static_assert(SequenceProjection<LearnedProjection<float>, float>);
static_assert(SequenceProjection<FixedProjection<double>, double>);
static_assert(SequenceProjection<MeanPooling<float>, float>);
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

TEST_CASE("the maximum of anything and NaN is NaN") {
  constexpr MaximumOrNan larger;
  const double nan = std::numeric_limits<double>::quiet_NaN(), infinity = std::numeric_limits<double>::infinity();
  CHECK(larger(1.0, 2.0) == 2);
  CHECK(larger(2.0, 1.0) == 2);
  CHECK(larger(-infinity, -3.0) == -3);
  CHECK(std::isnan(larger(nan, infinity)));
  CHECK(std::isnan(larger(infinity, nan)));
}
