#pragma once

#include <linformer/core/matrix.hpp>
#include <linformer/kernels/compute.hpp>
#include <linformer/kernels/vector_kernels.hpp>

#include <bit>
#include <cstdint>

namespace linformer::inline LINFORMER_ABI {

/// The nearest bfloat16, to even: within 2⁻⁸ of a normal value. A NaN stays one.
[[nodiscard]] constexpr std::uint16_t to_bf16(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  if (value != value) return static_cast<std::uint16_t>(bits >> 16 | 0x40U);
  return static_cast<std::uint16_t>((bits + 0x7FFFU + (bits >> 16 & 1U)) >> 16);
}
[[nodiscard]] constexpr float from_bf16(std::uint16_t value) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(value) << 16);
}

/// One side of a product, p × m: a view of values of `T`, or of words that hold two bfloat16 each, the rows 2·i and
/// 2·i + 1 of the same column. What is read as a in aᵀ·b may lie in panels of `detail::panel_columns` columns, one
/// panel after the other, each with its rows one after another: what a register tile reads is then one stream.
template <Scalar T>
class Operand {
 public:
  Operand() = default;

  /// Values as they are.
  template <RowMajorMemory<T> Derived>
  Operand(const Eigen::MatrixBase<Derived>& values)  // NOLINT(google-explicit-constructor): a view
      : Operand(MatrixView<T>(values), values.rows(), Precision::full) {}

  /// Words of `pair_rows`, for `rows` rows.
  Operand(const MatrixView<T>& words, Index rows, Precision precision)
      : data_(words.map().data()),
        row_stride_(words.map().outerStride()),
        rows_(rows),
        cols_(words.cols()),
        precision_(precision) {}

  /// Values, or words, in panels. @param panels a panel a row: ⌈cols / panel_columns⌉ × panel_columns·p
  [[nodiscard]] static Operand in_panels(const MatrixView<T>& panels, Index rows, Index cols, Precision precision) {
    Operand result(panels, rows, precision);
    result.cols_ = cols;
    result.panel_stride_ = result.row_stride_;
    result.row_stride_ = detail::panel_columns;
    return result;
  }

  /// p: values, not words.
  [[nodiscard]] Index rows() const { return rows_; }
  [[nodiscard]] Index cols() const { return cols_; }
  [[nodiscard]] Precision precision() const { return precision_; }
  [[nodiscard]] bool in_panels() const { return panel_stride_ != detail::panel_columns; }
  /// The values, or the words that hold them, of an operand that is not in panels.
  [[nodiscard]] auto words() const {
    eigen_assert(!in_panels());
    return Eigen::Map<const Matrix<T>, 0, Eigen::OuterStride<>>(data_, words_of(rows_), cols_,
                                                                Eigen::OuterStride<>(row_stride_));
  }
  /// From the first value or word to those of the same column a row, and a panel, further on.
  [[nodiscard]] const T* data() const { return data_; }
  [[nodiscard]] Index row_stride() const { return row_stride_; }
  [[nodiscard]] Index panel_stride() const { return panel_stride_; }

  /// @param first a multiple of `panel_columns` where the operand lies in panels
  [[nodiscard]] Operand middle_cols(Index first, Index count) const {
    eigen_assert(!in_panels() || first % detail::panel_columns == 0);
    Operand result = *this;
    result.data_ += at(0, first);
    result.cols_ = count;
    return result;
  }
  /// @param first even where the operand holds pairs
  [[nodiscard]] Operand middle_rows(Index first, Index count) const {
    eigen_assert(precision_ == Precision::full || first % 2 == 0);
    Operand result = *this;
    result.data_ += at(words_of(first), 0);
    result.rows_ = count;
    return result;
  }

  /// Reads one row of values. @param out 1 × m
  void read_row(Index row, MatrixRef<T> out) const {
    for (Index j = 0; j < cols_; ++j) {
      if constexpr (std::same_as<T, float>) {
        if (precision_ == Precision::bf16) {
          const auto word = std::bit_cast<std::uint32_t>(data_[at(row / 2, j)]);
          out(0, j) = from_bf16(static_cast<std::uint16_t>(row % 2 == 0 ? word : word >> 16));
          continue;
        }
      }
      out(0, j) = data_[at(row, j)];
    }
  }

 private:
  /// Rows of words that hold `rows` rows of values.
  [[nodiscard]] Index words_of(Index rows) const { return precision_ == Precision::full ? rows : (rows + 1) / 2; }
  [[nodiscard]] Index at(Index word, Index col) const {
    return col / detail::panel_columns * panel_stride_ + col % detail::panel_columns + word * row_stride_;
  }

  const T* data_ = nullptr;
  Index row_stride_ = 0, panel_stride_ = detail::panel_columns;
  Index rows_ = 0, cols_ = 0;
  Precision precision_ = Precision::full;
};

/// Rounds to bfloat16 and pairs rows: word (i, j) of `out` (⌈p/2⌉ × m) holds in(2·i, j), and in(2·i + 1, j) in its
/// upper half, zero beyond the last row.
inline void pair_rows(Isa isa, const ConstMatrixRef<float>& in, MatrixRef<float> out) {
  eigen_assert(out.rows() == (in.rows() + 1) / 2 && out.cols() == in.cols());
#if LINFORMER_HAS_VECTOR_KERNELS
  if (isa != Isa::eigen) {
    detail::vector_kernels(isa).pair_rows(in.rows(), in.cols(), in.data(), in.outerStride(), out.data(),
                                          out.outerStride());
    return;
  }
#endif
  for (Index i = 0; i < out.rows(); ++i) {
    for (Index j = 0; j < in.cols(); ++j) {
      const std::uint32_t first = to_bf16(in(2 * i, j));
      const std::uint32_t second = 2 * i + 1 < in.rows() ? to_bf16(in(2 * i + 1, j)) : 0;
      out(i, j) = std::bit_cast<float>(first | second << 16);
    }
  }
}

/// The values of an operand, which is read row by row: for the reference path.
template <Scalar T>
[[nodiscard]] Matrix<T> values_of(const Operand<T>& operand) {
  Matrix<T> values(operand.rows(), operand.cols());
  for (Index i = 0; i < values.rows(); ++i) operand.read_row(i, values.row(i));
  return values;
}

/// Values as an operand of the precision that is computed in: a view of them, or rounded in scratch memory.
template <Scalar T>
[[nodiscard]] Operand<T> operand(const ConstMatrixRef<T>& values, const Compute& compute) {
  if constexpr (std::same_as<T, float>) {
    if (compute.precision == Precision::bf16) {
      auto words = compute.workspace.template matrix<float>((values.rows() + 1) / 2, values.cols());
      pair_rows(compute.isa, values, words);
      return {words, values.rows(), Precision::bf16};
    }
  }
  return values;
}

}  // namespace linformer::inline LINFORMER_ABI
