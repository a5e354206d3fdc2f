#pragma once

#include <linformer/core/parameters.hpp>

namespace linformer::inline LINFORMER_ABI {

/// A linear map of rows, y = x·Wᵀ + b, oriented as PyTorch's.
template <Scalar T>
struct Linear {
  Matrix<T> weight;  ///< out × in
  Vector<T> bias;    ///< out, or empty for none

  /// A zero map. @throws Error size_overflow
  static Linear zeros(std::string_view name, Index out, Index in, bool with_bias) {
    detail::checked_size(name, {out, in});
    return {Matrix<T>::Zero(out, in), with_bias ? Vector<T>(Vector<T>::Zero(out)) : Vector<T>()};
  }

  void for_each_parameter(const ParameterName& name, const ParameterVisitor<T>& visitor) {
    visit(*this, name, visitor);
  }
  void for_each_parameter(const ParameterName& name, const ParameterVisitor<const T>& visitor) const {
    visit(*this, name, visitor);
  }

 private:
  template <class Self, class Value>
  static void visit(Self& self, const ParameterName& name, const ParameterVisitor<Value>& visitor) {
    detail::visit_matrix(name + ".weight", self.weight, visitor);
    detail::visit_vector(name + ".bias", self.bias, visitor);
  }
};

}  // namespace linformer::inline LINFORMER_ABI
