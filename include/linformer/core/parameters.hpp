#pragma once

#include <linformer/core/matrix.hpp>
#include <linformer/core/parameter_name.hpp>

#include <span>
#include <string>

namespace linformer::inline LINFORMER_ABI {

/// Shape of a parameter, outermost first: {out, in} of a weight, {out} of a bias.
using Shape = std::span<const Index>;

// A class with weights has `for_each_parameter(f)`, const and not, which calls f(name, shape, values) for every
// parameter in a fixed order: `ParameterName name`, which is a `std::string` to a visitor that takes one, `Shape
// shape`, row-major `std::span<T>` or `std::span<const T>`.

namespace detail {

/// Visits the values of a matrix or vector as one parameter of the given shape.
template <class Values, class Visitor>
void visit_parameter(const ParameterName& name, std::initializer_list<Index> shape, Values& values, Visitor& visitor) {
  if (values.size() == 0) return;
  visitor(name, Shape(shape.begin(), shape.size()), std::span(values.data(), static_cast<std::size_t>(values.size())));
}

template <class Matrix, class Visitor>
void visit_matrix(const ParameterName& name, Matrix& matrix, Visitor& visitor) {
  visit_parameter(name, {matrix.rows(), matrix.cols()}, matrix, visitor);
}

template <class Vector, class Visitor>
void visit_vector(const ParameterName& name, Vector& vector, Visitor& visitor) {
  visit_parameter(name, {vector.size()}, vector, visitor);
}

}  // namespace detail

/// Number of trainable values of anything with `for_each_parameter`.
template <class Module>
[[nodiscard]] Index parameter_count(const Module& module) {
  Index count = 0;
  module.for_each_parameter(
      [&](const ParameterName&, Shape, auto values) { count += static_cast<Index>(values.size()); });
  return count;
}

/// Sets all trainable values to zero.
template <class Module>
void set_zero(Module& module) {
  module.for_each_parameter([](const ParameterName&, Shape, auto values) {
    for (auto& value : values) value = 0;
  });
}

/// A gradient has the type of what it differentiates: a copy whose trainable values are zero.
template <class Module>
[[nodiscard]] Module zero_gradient(const Module& module) {
  Module gradient = module;
  set_zero(gradient);
  return gradient;
}

/// Bytes of all trainable values.
template <class Module>
[[nodiscard]] Index parameter_bytes(const Module& module) {
  Index bytes = 0;
  module.for_each_parameter(
      [&](const ParameterName&, Shape, auto values) { bytes += static_cast<Index>(values.size_bytes()); });
  return bytes;
}

}  // namespace linformer::inline LINFORMER_ABI
