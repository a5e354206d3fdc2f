#pragma once

#ifdef LINFORMER_BENCH_OPENBLAS

#include "prepared_product.hpp"

#include <cblas.h>

#include <memory>

namespace linformer::bench {

/// OpenBLAS's sgemm on one thread, on the operands as they lie. It chooses its kernels when it is loaded.
[[nodiscard]] inline PreparedProduct openblas_product(const ConstMatrixRef<float>& a, const ConstMatrixRef<float>& b) {
  openblas_set_num_threads(1);
  const auto out = std::make_shared<Matrix<float>>(Matrix<float>::Zero(a.cols(), b.cols()));
  const auto size = [](Index value) { return static_cast<blasint>(value); };
  const auto run = [out, m = size(a.cols()), n = size(b.cols()), p = size(a.rows()), left = a.data(),
                    left_stride = size(a.outerStride()), right = b.data(), right_stride = size(b.outerStride())] {
    cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, m, n, p, 1.0F, left, left_stride, right, right_stride, 0.0F,
                out->data(), n);
  };
  return {run, [out] { return *out; }, openblas_get_corename()};
}

}  // namespace linformer::bench

#endif
