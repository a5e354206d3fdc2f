#pragma once

#include <linformer/core/parameters.hpp>

/// The smallest module worth training: a matrix and a vector.
template <linformer::Scalar T>
struct TwoParameters {
  linformer::Matrix<T> weight;
  linformer::Vector<T> bias;

  void for_each_parameter(const linformer::ParameterVisitor<T>& visitor) { visit(*this, visitor); }
  void for_each_parameter(const linformer::ParameterVisitor<const T>& visitor) const { visit(*this, visitor); }

 private:
  template <class Self, class Value>
  static void visit(Self& self, const linformer::ParameterVisitor<Value>& visitor) {
    linformer::detail::visit_matrix("weight", self.weight, visitor);
    linformer::detail::visit_vector("bias", self.bias, visitor);
  }
};
