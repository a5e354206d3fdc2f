#pragma once

#include <linformer/kernels/operand.hpp>

#include <algorithm>

namespace linformer::inline LINFORMER_ABI {

/// How an operand lies in memory: row by row, or in panels, for products that read it as a.
enum class OperandLayout { rows, panels };

/// An operand that is made once and owns what it holds, p × m values in full precision or rounded to bfloat16.
template <Scalar T>
class FrozenOperand {
 public:
  FrozenOperand() = default;

  /// @throws Error unsupported for bf16 of another scalar than `float`
  template <class Derived>
  FrozenOperand(const Eigen::MatrixBase<Derived>& values, Precision precision,
                OperandLayout layout = OperandLayout::rows) {
    assign(values, default_isa(), precision, layout);
  }

  /// Becomes a copy of the values; memory of the same shape is used again.
  void assign(const ConstMatrixRef<T>& values, Isa isa, Precision precision,
              OperandLayout layout = OperandLayout::rows) {
    detail::require(std::same_as<T, float> || precision == Precision::full, ErrorCode::unsupported, "precision",
                    "full, as bf16 is made of float", "bf16");
    constexpr Index width = detail::panel_columns;
    rows_ = values.rows();
    cols_ = values.cols();
    precision_ = precision;
    layout_ = layout;
    const Index words = precision == Precision::full ? rows_ : (rows_ + 1) / 2;
    if (layout == OperandLayout::rows) {
      words_.resize(words, cols_);
      copy(values, isa, words_.block());
      return;
    }
    words_.resize((cols_ + width - 1) / width, width * words);
    for (Index i = 0; i < words_.rows(); ++i) {
      const Index count = std::min(width, cols_ - i * width);
      copy(values.middleCols(i * width, count), isa,
           Eigen::Map<Matrix<T>, 0, Eigen::OuterStride<>>(words_.block().row(i).data(), words, count,
                                                          Eigen::OuterStride<>(width)));
    }
  }

  [[nodiscard]] Index rows() const { return rows_; }
  [[nodiscard]] Index cols() const { return cols_; }
  [[nodiscard]] Precision precision() const { return precision_; }
  [[nodiscard]] Operand<T> operand() const {
    if (layout_ == OperandLayout::panels) return Operand<T>::in_panels(words_.block(), rows_, cols_, precision_);
    return {words_.block(), rows_, precision_};
  }
  /// Bytes of the values, room between rows or panels aside.
  [[nodiscard]] std::size_t bytes() const {
    return static_cast<std::size_t>(words_.rows() * words_.cols()) * sizeof(T);
  }

 private:
  void copy(const ConstMatrixRef<T>& values, Isa isa, MatrixRef<T> words) const {
    if (precision_ == Precision::full) {
      words = values;
    } else if constexpr (std::same_as<T, float>) {
      pair_rows(isa, values, words);
    }
  }

  detail::PaddedMatrix<T> words_;
  Index rows_ = 0, cols_ = 0;
  Precision precision_ = Precision::full;
  OperandLayout layout_ = OperandLayout::rows;
};

}  // namespace linformer::inline LINFORMER_ABI
