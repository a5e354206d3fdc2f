#pragma once

#include <linformer/core/matrix.hpp>
#include <linformer/kernels/vector_kernels.hpp>

namespace linformer::inline LINFORMER_ABI {

/// Multiplies every row of m by factors, element by element: one rounding each. @param factors 1 × columns
template <Scalar T>
void scale_columns(Isa isa, MatrixRef<T> m, const ConstMatrixRef<T>& factors) {
  eigen_assert(factors.rows() == 1 && factors.cols() == m.cols());
#if LINFORMER_HAS_VECTOR_KERNELS
  if constexpr (std::same_as<T, float>) {
    if (isa != Isa::eigen) {
      detail::vector_kernels(isa).scale_columns(m.rows(), m.cols(), m.data(), m.outerStride(), factors.data());
      return;
    }
  }
#endif
  m.array().rowwise() *= factors.row(0).array();
}

}  // namespace linformer::inline LINFORMER_ABI
