#pragma once

#include <linformer/core/matrix.hpp>
#include <linformer/kernels/vector_kernels.hpp>

namespace linformer::inline LINFORMER_ABI {

/// Backward of softmax down columns, in place: from dP the gradient of the scores, P∘(dP − 1·δ), δ = 1ᵀ·(P∘dP) of each
/// column. Each result is within (γ_{c+3} + 2u)·P·(|dP| + Σ P·|dP|) of that, c the number of keys. NaN stays in its
/// column. On one path a column's bits depend on that column alone.
/// @param p keys × queries, columns that sum to one or less
/// @param gradient keys × queries; on entry dP
/// @param sums 1 × queries, scratch memory with room for whole vectors; on return δ
template <Scalar T>
void softmax_gradient(Isa isa, const ConstMatrixRef<T>& p, MatrixRef<T> gradient, MatrixRef<T> sums) {
  eigen_assert(p.rows() == gradient.rows() && p.cols() == gradient.cols() && sums.cols() == p.cols());
#if LINFORMER_HAS_VECTOR_KERNELS
  if constexpr (std::same_as<T, float>) {
    if (isa != Isa::eigen) {
      detail::vector_kernels(isa).softmax_gradient(p.rows(), p.cols(), p.data(), p.outerStride(), gradient.data(),
                                                   gradient.outerStride(), sums.data());
      return;
    }
  }
#endif
  sums.setZero();
  for (Index i = 0; i < p.rows(); ++i) sums += p.row(i).cwiseProduct(gradient.row(i));
  for (Index i = 0; i < p.rows(); ++i) gradient.row(i) = p.row(i).cwiseProduct(gradient.row(i) - sums);
}

}  // namespace linformer::inline LINFORMER_ABI
