#pragma once

#include <linformer/attention/config.hpp>
#include <linformer/kernels/product.hpp>
#include <linformer/nn/linear.hpp>

namespace linformer::inline LINFORMER_ABI {

/// The weights of a layer as products read them: transposed, in × out. Views of memory that outlives them.
template <Scalar T>
struct TransposedWeights {
  Operand<T> query, key, value;  ///< in × h·d
  Operand<T> output;             ///< h·d × D
  Operand<T> query_rows;         ///< W_Q as it is, h·d × D, to be folded into keys
  const Vector<T>&query_bias, &key_bias, &value_bias, &output_bias;  ///< empty for none
  const Vector<T>&projected_key_bias, &projected_value_bias;         ///< c, empty for none

  /// h·d
  [[nodiscard]] Index width() const { return query.cols(); }
};

namespace detail {

/// What products take for a vector that may be missing.
template <Scalar T>
[[nodiscard]] const T* data_or_null(const Vector<T>& vector) {
  return vector.size() == 0 ? nullptr : vector.data();
}

}  // namespace detail

/// The weights of one attention layer, E and F aside: they belong to the model's `ProjectionSet`.
template <Scalar T>
struct AttentionWeights {
  static constexpr bool trainable = true;

  Linear<T> query;                                     ///< W_Q: h·d × D
  Linear<T> key;                                       ///< W_K: h·d × context width
  Linear<T> value;                                     ///< W_V: h·d × context width
  Linear<T> output;                                    ///< W_O: D × h·d
  Vector<T> projected_key_bias, projected_value_bias;  ///< c: h·d each, or empty

  /// Weights of zero. @param config resolved
  static AttentionWeights zeros(const AttentionConfig& config) {
    const Index width = config.heads * config.head_width;
    const Vector<T> c = config.projected_bias ? Vector<T>(Vector<T>::Zero(width)) : Vector<T>();
    return {Linear<T>::zeros("query.weight", width, config.model_width, config.query_key_value_bias),
            Linear<T>::zeros("key.weight", width, config.context_width, config.query_key_value_bias),
            Linear<T>::zeros("value.weight", width, config.context_width, config.query_key_value_bias),
            Linear<T>::zeros("output.dense.weight", config.model_width, width, config.output_bias),
            c,
            c};
  }

  /// What products are computed in.
  [[nodiscard]] Precision precision() const { return Precision::full; }

  /// Transposed into scratch memory.
  [[nodiscard]] TransposedWeights<T> transposed(const Compute& compute) const {
    const auto of = [&](const Linear<T>& linear) { return linformer::transposed<T>(linear.weight, compute); };
    return {of(query), of(key),    of(value),   of(output),         query.weight,        query.bias,
            key.bias,  value.bias, output.bias, projected_key_bias, projected_value_bias};
  }

  void for_each_parameter(const ParameterVisitor<T>& visitor) { visit(*this, visitor); }
  void for_each_parameter(const ParameterVisitor<const T>& visitor) const { visit(*this, visitor); }

 private:
  template <class Self, class Value>
  static void visit(Self& self, const ParameterVisitor<Value>& visitor) {
    self.query.for_each_parameter("query", visitor);
    self.key.for_each_parameter("key", visitor);
    self.value.for_each_parameter("value", visitor);
    detail::visit_vector("projected_key.bias", self.projected_key_bias, visitor);
    detail::visit_vector("projected_value.bias", self.projected_value_bias, visitor);
    self.output.for_each_parameter("output.dense", visitor);
  }
};

}  // namespace linformer::inline LINFORMER_ABI
