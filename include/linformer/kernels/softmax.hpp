#pragma once

#include <linformer/kernels/compute.hpp>
#include <linformer/kernels/vector_kernels.hpp>

#include <limits>

namespace linformer::inline LINFORMER_ABI {

/// Turns scores into weights with a running maximum and sum of each query (Milakov and Gimelshein 2018, arXiv
/// 1805.02867): scores (keys × queries) becomes exp(score − maximum), sums takes them up, kept is exp(old − new
/// maximum). exp is within 2 ULP (Eigen's, on Isa::eigen, within 5); a NaN, or a maximum of ±∞, makes its query NaN. A
/// column's sum runs in the order of its keys. Rows of scores and the three vectors (1 × queries) are scratch memory,
/// with room for whole vectors.
template <Scalar T>
void absorb_scores(Isa isa, MatrixRef<T> scores, MatrixRef<T> maxima, MatrixRef<T> sums, MatrixRef<T> kept) {
#if LINFORMER_HAS_VECTOR_KERNELS
  if constexpr (std::same_as<T, float>) {
    if (isa != Isa::eigen) {
      detail::vector_kernels(isa).absorb_scores(scores.rows(), scores.cols(), scores.data(), scores.outerStride(),
                                                maxima.data(), sums.data(), kept.data());
      return;
    }
  }
#endif
  kept = maxima;
  for (Index i = 0; i < scores.rows(); ++i) maxima = maxima.cwiseMax(scores.row(i));
  // Where all scores so far are −∞ their weights are 0, not exp(−∞ + ∞).
  const Matrix<T> shift = (maxima.array() == -std::numeric_limits<T>::infinity()).select(T{0}, maxima);
  kept = (kept - shift).array().exp();
  sums = sums.cwiseProduct(kept);
  for (Index i = 0; i < scores.rows(); ++i) {
    scores.row(i) = (scores.row(i) - shift).array().exp();
    sums += scores.row(i);
  }
}

}  // namespace linformer::inline LINFORMER_ABI
