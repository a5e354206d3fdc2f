#include <linformer/attention/convolution.hpp>

#include "support/projection_support.hpp"

TEST_CASE("a convolution has kernel and stride n/k, one kernel for all features") {
  for (const Index k : {1, 6, 30}) {
    const Index s = 30 / k;
    const Convolution<float> convolution{Windows(k, 30), random_matrix<float>(s, 1, 5)};
    check_accumulate<float>(convolution, 4, [&](Index i, Index t, Index) {
      return i * s <= t && t < (i + 1) * s ? static_cast<double>(convolution.weight(t - i * s)) : 0;
    });
  }
}

TEST_CASE("a depthwise convolution has a kernel for each feature of a head") {
  for (const Index k : {1, 6, 30}) {
    const Index s = 30 / k;
    const DepthwiseConvolution<float> convolution{Windows(k, 30), random_matrix<float>(4, s, 5)};
    check_accumulate<float>(convolution, 4, [&](Index i, Index t, Index c) {
      return i * s <= t && t < (i + 1) * s ? static_cast<double>(convolution.weight(c, t - i * s)) : 0;
    });
  }
}
