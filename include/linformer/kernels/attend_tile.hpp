#pragma once

#include <linformer/core/workspace.hpp>
#include <linformer/kernels/product.hpp>

#include <cmath>
#include <limits>

namespace linformer::inline LINFORMER_ABI {

/// Softmax attention of one tile of m queries of one head, absorbing tiles of keys and values one after another with a
/// running maximum and sum (Milakov and Gimelshein 2018, arXiv 1805.02867), so that scores take m × tile, whatever the
/// number of keys. Results are normalised once, at the end: m·d divisions instead of m·k.
template <Scalar T>
class AttendTile {
 public:
  /// @param rows most queries, @param columns most keys of a tile
  AttendTile(Index rows, Index columns, Workspace& workspace)
      : scores_(workspace.matrix<T>(rows, columns)), state_(workspace.matrix<T>(2, rows)) {}

  /// Forgets all keys; `out` (m × d) collects the result from here on.
  void begin(Index rows) {
    rows_ = rows;
    first_ = true;
    state_.row(0).setConstant(-std::numeric_limits<T>::infinity());
    state_.row(1).setZero();
  }

  /// Absorbs a tile of keys (c × d, already scaled by 1/√d) and values (c × d).
  /// @param queries m × d; not read again after the scores are computed, so `out` may be the same memory if there is
  ///   only one tile
  /// @param score_bias c values added to every row of scores; null for none
  /// @param on_weights called as on_weights(exp(scores − maximum), sums) before values are weighed: it may copy the
  ///   weights and change them (dropout)
  template <class OnWeights>
  void absorb(const ConstMatrixRef<T>& queries, const ConstMatrixRef<T>& keys, const ConstMatrixRef<T>& values,
              const T* score_bias, MatrixRef<T> out, const OnWeights& on_weights) {
    auto scores = scores_.topLeftCorner(rows_, keys.rows());
    multiply_by_transposed<T>(queries, keys, scores);
    if (score_bias != nullptr) {
      scores.rowwise() += Eigen::Map<const Eigen::Matrix<T, 1, Eigen::Dynamic>>(score_bias, keys.rows());
    }
    for (Index i = 0; i < rows_; ++i) {
      auto row = scores.row(i).array();
      const T maximum = std::max(state_(0, i), row.maxCoeff());
      row = (row - maximum).exp();
      const T kept = first_ ? T{0} : std::exp(state_(0, i) - maximum);
      state_(1, i) = state_(1, i) * kept + row.sum();
      state_(0, i) = maximum;
      if (!first_) out.row(i) *= kept;
    }
    on_weights(scores, state_.row(1));
    if (first_) {
      multiply<T>(scores, values, out);
    } else {
      multiply_add<T>(scores, values, out);
    }
    first_ = false;
  }

  /// Normalises `out`.
  void finish(MatrixRef<T> out) {
    for (Index i = 0; i < rows_; ++i) out.row(i) *= T{1} / state_(1, i);
  }

 private:
  ScratchMatrix<T> scores_;  // m × c
  ScratchMatrix<T> state_;   // 2 × m: running maxima, running sums
  Index rows_ = 0;
  bool first_ = true;
};

}  // namespace linformer::inline LINFORMER_ABI
