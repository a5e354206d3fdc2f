#pragma once

#include <linformer/attention/dense_projection.hpp>
#include <linformer/kernels/frozen_operand.hpp>
#include <linformer/parallel/part.hpp>

namespace linformer::inline LINFORMER_ABI {

/// A learned projection for inference alone: stored as products read it, a token a row, in full precision or rounded to
/// bfloat16.
template <Scalar T>
struct FrozenProjection {
  static constexpr bool commutes = true;
  static constexpr bool local = false;
  static constexpr Reduction reduction = Reduction::sum;

  FrozenOperand<T> weight;                ///< n × k, or the columns of E held here
  Index first = 0;                        ///< position of the first of them
  Index sequence_length = weight.rows();  ///< n

  [[nodiscard]] Index rows() const { return weight.cols(); }
  [[nodiscard]] Index columns() const { return sequence_length; }
  /// Positions whose columns are here.
  [[nodiscard]] Part held() const { return {first, first + weight.rows()}; }

  void accumulate(const Positions& tokens, const ConstMatrixRef<T>& features, MatrixRef<T> out, Vector<T>* ones,
                  const Compute& compute) const {
    const Operand<T> stored = weight.operand();
    const bool in_place = tokens.list == nullptr && weight.precision() == compute.precision &&
                          ((tokens.first - first) % 2 == 0 || compute.precision == Precision::full);
    if (!in_place) {
      accumulate_dense<T>(rows(), tokens, features, out, ones, compute,
                          [&](const Positions& part, MatrixRef<T> columns) {
                            for (Index j = 0; j < part.count; ++j) stored.read_row(part[j] - first, columns.row(j));
                          });
      return;
    }
    constexpr Index tile_rows = 256;  // a tile of features stays in the second-level cache
    for (Index begin = 0; begin < tokens.count; begin += tile_rows) {
      const Index count = std::min(tile_rows, tokens.count - begin);
      accumulate_columns<T>(stored.middle_rows(tokens.first - first + begin, count), features.middleRows(begin, count),
                            out, ones, compute);
    }
  }
};

}  // namespace linformer::inline LINFORMER_ABI
