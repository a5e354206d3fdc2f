#pragma once

#include <linformer/attention/projection_concept.hpp>

namespace linformer::inline LINFORMER_ABI {

/// A convolution over the sequence, kernel and stride s = n/k, one kernel for all features: row i is
/// Σⱼ weight(j)·x(i·s + j) over the present tokens of its window.
template <Scalar T>
struct Convolution : Windows {
  static constexpr bool commutes = true;
  static constexpr bool local = true;
  static constexpr Reduction reduction = Reduction::sum;

  Vector<T> weight;  ///< s

  void accumulate(const Positions& tokens, const ConstMatrixRef<T>& features, MatrixRef<T> out, Vector<T>* ones,
                  const Compute& /*compute*/) const {
    for_each_row(tokens, [&](Index j, Index row) {
      const T w = weight(tokens[j] - first(row));
      out.row(row) += w * features.row(j);
      if (ones != nullptr) (*ones)(row) += w;
    });
  }
};

/// A convolution with one kernel for each of the d features of a head, hence on K and V only.
template <Scalar T>
struct DepthwiseConvolution : Windows {
  static constexpr bool commutes = false;
  static constexpr bool local = true;
  static constexpr Reduction reduction = Reduction::sum;

  Matrix<T> weight;  ///< d × s

  /// @param features count × d
  void accumulate(const Positions& tokens, const ConstMatrixRef<T>& features, MatrixRef<T> out, Vector<T>* /*ones*/,
                  const Compute& /*compute*/) const {
    for_each_row(tokens, [&](Index j, Index row) {
      out.row(row) += weight.col(tokens[j] - first(row)).transpose().cwiseProduct(features.row(j));
    });
  }
};

}  // namespace linformer::inline LINFORMER_ABI
