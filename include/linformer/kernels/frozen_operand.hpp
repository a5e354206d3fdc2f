#pragma once

#include <linformer/kernels/operand.hpp>

namespace linformer::inline LINFORMER_ABI {

/// An operand that is made once and owns what it holds, p × m values in full precision or rounded to bfloat16.
template <Scalar T>
class FrozenOperand {
 public:
  FrozenOperand() = default;

  /// @throws Error unsupported for bf16 of another scalar than `float`
  template <class Derived>
  FrozenOperand(const Eigen::MatrixBase<Derived>& values, Precision precision) {
    assign(values, default_isa(), precision);
  }

  /// Becomes a copy of the values; memory of the same shape is used again.
  void assign(const ConstMatrixRef<T>& values, Isa isa, Precision precision) {
    detail::require(std::same_as<T, float> || precision == Precision::full, ErrorCode::unsupported, "precision",
                    "full, as bf16 is made of float", "bf16");
    rows_ = values.rows();
    precision_ = precision;
    if (precision == Precision::full) {
      words_.resize(values.rows(), values.cols());
      words_.block() = values;
    } else if constexpr (std::same_as<T, float>) {
      words_.resize((values.rows() + 1) / 2, values.cols());
      pair_rows(isa, values, words_.block());
    }
  }

  [[nodiscard]] Index rows() const { return rows_; }
  [[nodiscard]] Index cols() const { return words_.cols(); }
  [[nodiscard]] Precision precision() const { return precision_; }
  [[nodiscard]] Operand<T> operand() const { return {words_.block(), rows_, precision_}; }
  /// Bytes of the values, room between rows aside.
  [[nodiscard]] std::size_t bytes() const {
    return static_cast<std::size_t>(words_.rows() * words_.cols()) * sizeof(T);
  }

 private:
  detail::PaddedMatrix<T> words_;
  Index rows_ = 0;
  Precision precision_ = Precision::full;
};

}  // namespace linformer::inline LINFORMER_ABI
