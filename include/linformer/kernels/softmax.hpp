#pragma once

#include <linformer/core/matrix.hpp>

namespace linformer::inline LINFORMER_ABI {

/// Replaces each row s by softmax(s): exp(s − max s) / Σ exp(s − max s). A NaN, or a maximum of ±∞, makes its row NaN.
/// Error: 2 ULP of exp, plus γ_n of the sum. The order of the sum depends on a row's alignment alone.
template <Scalar T>
void softmax_rows(MatrixRef<T> scores) {
  for (Index i = 0; i < scores.rows(); ++i) {
    auto row = scores.row(i).array();
    const T maximum = row.maxCoeff();
    row = (row - maximum).exp();
    const T inverse = T{1} / row.sum();
    row *= inverse;
  }
}

}  // namespace linformer::inline LINFORMER_ABI
