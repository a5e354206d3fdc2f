#pragma once

#include <linformer/core/parameters.hpp>

/// The smallest module worth training: a matrix and a vector.
template <linformer::Scalar T>
struct TwoParameters {
  linformer::Matrix<T> weight;
  linformer::Vector<T> bias;

  template <class Visitor>
  void for_each_parameter(Visitor&& visitor) {
    visit(*this, visitor);
  }
  template <class Visitor>
  void for_each_parameter(Visitor&& visitor) const {
    visit(*this, visitor);
  }

 private:
  template <class Self, class Visitor>
  static void visit(Self& self, Visitor& visitor) {
    linformer::detail::visit_matrix("weight", self.weight, visitor);
    linformer::detail::visit_vector("bias", self.bias, visitor);
  }
};
