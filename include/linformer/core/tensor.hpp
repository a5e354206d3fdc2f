#pragma once

// Optional: converters from and to rank-3 tensors of Eigen's unsupported modules. Not part of the umbrella header.

#include <linformer/core/batch.hpp>

#include <unsupported/Eigen/CXX11/Tensor>

namespace linformer::inline LINFORMER_ABI {

/// The present tokens of a (B, n, D) tensor of either order. @throws Error shape_mismatch if the mask is not B × n.
template <Scalar T, int Layout, class TensorIndex>
[[nodiscard]] Batch<T> to_ragged(const Eigen::Tensor<T, 3, Layout, TensorIndex>& padded, const MaskView& mask) {
  const auto n = static_cast<Index>(padded.dimension(1));
  const auto width = static_cast<Index>(padded.dimension(2));
  detail::require_shape("token mask", mask.sequences(), mask.length(), static_cast<Index>(padded.dimension(0)), n);
  Batch<T> batch{BatchLayout::from_mask(mask), {}};
  batch.rows.resize(batch.layout.rows(), width);
  for (Index b = 0; b < mask.sequences(); ++b) {
    const Positions positions = batch.layout.positions(b);
    auto rows = batch.sequence(b);
    for (Index i = 0; i < positions.count; ++i) {
      for (Index c = 0; c < width; ++c) {
        rows(i, c) =
            padded(static_cast<TensorIndex>(b), static_cast<TensorIndex>(positions[i]), static_cast<TensorIndex>(c));
      }
    }
  }
  return batch;
}

/// The (B, n, D) tensor of a batch; absent tokens are zero. @throws Error shape_mismatch if a token lies at n or
/// beyond.
template <int Layout = Eigen::RowMajor, Scalar T>
[[nodiscard]] Eigen::Tensor<T, 3, Layout> to_tensor(const Batch<T>& batch, Index n) {
  const Matrix<T> padded = to_padded(batch, n);
  Eigen::Tensor<T, 3, Layout> tensor(batch.layout.sequences(), n, padded.cols());
  for (Index row = 0; row < padded.rows(); ++row) {
    for (Index c = 0; c < padded.cols(); ++c) tensor(row / n, row % n, c) = padded(row, c);
  }
  return tensor;
}

}  // namespace linformer::inline LINFORMER_ABI
