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
/// 2·i + 1 of the same column.
template <Scalar T>
class Operand {
 public:
  Operand() = default;

  /// Values as they are.
  template <RowMajorMemory<T> Derived>
  Operand(const Eigen::MatrixBase<Derived>& values)  // NOLINT(google-explicit-constructor): a view
      : words_(values), rows_(values.rows()) {}

  /// Words of `pair_rows`, for `rows` rows.
  Operand(const MatrixView<T>& words, Index rows, Precision precision)
      : words_(words), rows_(rows), precision_(precision) {}

  /// p: values, not words.
  [[nodiscard]] Index rows() const { return rows_; }
  [[nodiscard]] Index cols() const { return words_.cols(); }
  [[nodiscard]] Precision precision() const { return precision_; }
  /// The values, or the words that hold them.
  [[nodiscard]] auto words() const { return words_.map(); }

  [[nodiscard]] Operand middle_cols(Index first, Index count) const {
    return {words_.map().middleCols(first, count), rows_, precision_};
  }
  /// @param first even where the operand holds pairs
  [[nodiscard]] Operand middle_rows(Index first, Index count) const {
    if (precision_ == Precision::full) return {words_.map().middleRows(first, count), count, precision_};
    eigen_assert(first % 2 == 0);
    return {words_.map().middleRows(first / 2, (count + 1) / 2), count, precision_};
  }

  /// Reads one row of values. @param out 1 × m
  void read_row(Index row, MatrixRef<T> out) const {
    if constexpr (std::same_as<T, float>) {
      if (precision_ == Precision::bf16) {
        const auto words = words_.map().row(row / 2);
        for (Index j = 0; j < cols(); ++j) {
          const auto word = std::bit_cast<std::uint32_t>(words(j));
          out(0, j) = from_bf16(static_cast<std::uint16_t>(row % 2 == 0 ? word : word >> 16));
        }
        return;
      }
    }
    out = words_.map().row(row);
  }

 private:
  MatrixView<T> words_;
  Index rows_ = 0;
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
