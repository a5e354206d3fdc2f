#pragma once

#include <linformer/core/matrix.hpp>
#include <linformer/core/parameter_name.hpp>

#include <concepts>
#include <memory>
#include <span>
#include <string>
#include <type_traits>

namespace linformer::inline LINFORMER_ABI {

/// Shape of a parameter, outermost first: {out, in} of a weight, {out} of a bias.
using Shape = std::span<const Index>;

// A class with weights has `for_each_parameter(f)`, const and not, which calls f(name, shape, values) for every
// parameter in a fixed order: `ParameterName name`, which is a `std::string` to a visitor that takes one, `Shape
// shape`, row-major `std::span<T>` or `std::span<const T>`.

/// The f of `for_each_parameter(f)`: a reference to anything that can be called so, alive as long. It has one type, so
/// that the traversal of a model is compiled once and not for each f.
/// @tparam Value T, or `const T` for a traversal that only reads
template <class Value>
class ParameterVisitor {
 public:
  template <class F>
  requires(!std::same_as<std::remove_cvref_t<F>, ParameterVisitor>) ParameterVisitor(F&& f)
  noexcept  // NOLINT(google-explicit-constructor): whatever can be called is a visitor
      : object_(const_cast<void*>(static_cast<const void*>(std::addressof(f)))),
        call_([](void* object, const ParameterName& name, Shape shape, std::span<Value> values) {
          (*static_cast<std::add_pointer_t<F>>(object))(name, shape, values);
        }) {}

  void operator()(const ParameterName& name, Shape shape, std::span<Value> values) const {
    call_(object_, name, shape, values);
  }

 private:
  void* object_;
  void (*call_)(void*, const ParameterName&, Shape, std::span<Value>);
};

namespace detail {

/// Visits the values of a matrix or vector as one parameter of the given shape.
template <class Values, class Value>
void visit_parameter(const ParameterName& name, std::initializer_list<Index> shape, Values& values,
                     const ParameterVisitor<Value>& visitor) {
  if (values.size() == 0) return;
  visitor(name, Shape(shape.begin(), shape.size()), std::span(values.data(), static_cast<std::size_t>(values.size())));
}

template <class Matrix, class Value>
void visit_matrix(const ParameterName& name, Matrix& matrix, const ParameterVisitor<Value>& visitor) {
  visit_parameter(name, {matrix.rows(), matrix.cols()}, matrix, visitor);
}

template <class Vector, class Value>
void visit_vector(const ParameterName& name, Vector& vector, const ParameterVisitor<Value>& visitor) {
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
