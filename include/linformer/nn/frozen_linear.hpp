#pragma once

#include <linformer/kernels/frozen_operand.hpp>
#include <linformer/nn/linear_product.hpp>

namespace linformer::inline LINFORMER_ABI {

/// A linear map for inference alone: transposed once, in full precision or rounded to bfloat16. A plain value that
/// never changes.
template <Scalar T>
class FrozenLinear {
 public:
  FrozenLinear() = default;

  /// @param weight out × in; @param bias out values, or none
  /// @param layout panels where the weight is read as a product's first operand alone
  /// @throws Error unsupported for bf16 of another scalar than `float`
  FrozenLinear(const Matrix<T>& weight, const Vector<T>& bias, Precision precision,
               OperandLayout layout = OperandLayout::rows)
      : columns_(weight.transpose(), precision, layout), bias_(bias) {}
  FrozenLinear(const Linear<T>& linear, Precision precision, OperandLayout layout = OperandLayout::rows)
      : FrozenLinear(linear.weight, linear.bias, precision, layout) {}

  [[nodiscard]] Index in() const { return columns_.rows(); }
  [[nodiscard]] Index out() const { return columns_.cols(); }
  /// Bytes of the weight and the bias.
  [[nodiscard]] std::size_t bytes() const {
    return columns_.bytes() + static_cast<std::size_t>(bias_.size()) * sizeof(T);
  }
  /// Views of both.
  [[nodiscard]] TransposedLinear<T> view() const {
    return {columns_.operand(), bias_.size() == 0 ? nullptr : bias_.data()};
  }

 private:
  FrozenOperand<T> columns_;  // in × out
  Vector<T> bias_;
};

template <Scalar T>
[[nodiscard]] TransposedLinear<T> transposed(const FrozenLinear<T>& linear, const Compute& /*compute*/) {
  return linear.view();
}
template <Scalar T>
[[nodiscard]] TransposedLinear<T> transposed_in_panels(const FrozenLinear<T>& linear, const Compute& /*compute*/) {
  return linear.view();
}

}  // namespace linformer::inline LINFORMER_ABI
