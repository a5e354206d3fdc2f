#pragma once

#include <linformer/attention/weights.hpp>
#include <linformer/kernels/frozen_operand.hpp>

namespace linformer::inline LINFORMER_ABI {

/// The weights of an attention layer for inference alone: transposed once, in full precision or rounded to bfloat16. A
/// plain value that never changes.
template <Scalar T>
class FrozenWeights {
 public:
  static constexpr bool trainable = false;

  FrozenWeights() = default;

  /// @throws Error unsupported for bf16 of another scalar than `float`
  FrozenWeights(const AttentionWeights<T>& weights, Precision precision)
      : precision_(precision),
        query_(weights.query.weight.transpose(), precision),
        key_(weights.key.weight.transpose(), precision),
        value_(weights.value.weight.transpose(), precision),
        output_(weights.output.weight.transpose(), precision),
        query_rows_(weights.query.weight, precision),
        query_bias_(weights.query.bias),
        key_bias_(weights.key.bias),
        value_bias_(weights.value.bias),
        output_bias_(weights.output.bias),
        projected_key_bias_(weights.projected_key_bias),
        projected_value_bias_(weights.projected_value_bias) {}

  /// What products are computed in.
  [[nodiscard]] Precision precision() const { return precision_; }
  /// Bytes of weights and biases.
  [[nodiscard]] std::size_t bytes() const {
    std::size_t biases = 0;
    for (const Vector<T>* bias :
         {&query_bias_, &key_bias_, &value_bias_, &output_bias_, &projected_key_bias_, &projected_value_bias_}) {
      biases += static_cast<std::size_t>(bias->size()) * sizeof(T);
    }
    return biases + query_.bytes() + key_.bytes() + value_.bytes() + output_.bytes() + query_rows_.bytes();
  }

  /// Views of them.
  [[nodiscard]] TransposedWeights<T> transposed(const Compute& /*compute*/) const {
    return {query_.operand(), key_.operand(), value_.operand(), output_.operand(),   query_rows_.operand(), query_bias_,
            key_bias_,        value_bias_,    output_bias_,     projected_key_bias_, projected_value_bias_};
  }

 private:
  Precision precision_ = Precision::full;
  FrozenOperand<T> query_, key_, value_, output_, query_rows_;
  Vector<T> query_bias_, key_bias_, value_bias_, output_bias_, projected_key_bias_, projected_value_bias_;
};

}  // namespace linformer::inline LINFORMER_ABI
