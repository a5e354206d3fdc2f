#pragma once

#include <linformer/attention/dense_projection.hpp>
#include <linformer/parallel/part.hpp>

namespace linformer::inline LINFORMER_ABI {

/// A dense k × n matrix, as the paper trains it. A sequence of m < n tokens uses its first m columns, which equals
/// padding the sequence with zeros. A process that holds a part of each sequence holds the columns of its positions
/// alone.
template <Scalar T>
struct LearnedProjection {
  static constexpr bool commutes = true;
  static constexpr bool local = false;
  static constexpr Reduction reduction = Reduction::sum;

  Matrix<T> weight;                       ///< k × n, or the columns held here
  Index first = 0;                        ///< position of the first of them
  Index sequence_length = weight.cols();  ///< n

  [[nodiscard]] Index rows() const { return weight.rows(); }
  [[nodiscard]] Index columns() const { return sequence_length; }
  /// Positions whose columns are here.
  [[nodiscard]] Part held() const { return {first, first + weight.cols()}; }

  void accumulate(const Positions& tokens, const ConstMatrixRef<T>& features, MatrixRef<T> out, Vector<T>* ones,
                  const Compute& compute) const {
    accumulate_dense<T>(rows(), tokens, features, out, ones, compute, [&](const Positions& part, MatrixRef<T> columns) {
      if (part.list == nullptr) {
        transpose<T>(compute.isa, weight.middleCols(part.first - first, part.count), columns);
      } else {
        for (Index j = 0; j < part.count; ++j) columns.row(j) = weight.col(part[j] - first).transpose();
      }
    });
  }
};

}  // namespace linformer::inline LINFORMER_ABI
