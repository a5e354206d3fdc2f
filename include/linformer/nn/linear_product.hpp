#pragma once

#include <linformer/core/even_parts.hpp>
#include <linformer/kernels/product.hpp>
#include <linformer/nn/linear.hpp>

namespace linformer::inline LINFORMER_ABI {

namespace detail {

inline constexpr Index linear_tile = 96;  // rows of x that one task takes

/// Calls work(first, count, compute) for even parts of at most `most` rows.
template <class Work>
void for_each_part(Index rows, Index most, const Execution& execution, const Work& work) {
  const EvenParts parts(rows, most);
  execution.run(parts.count(),
                [&](Index part, const Compute& compute) { work(parts.first(part), parts.rows(part), compute); });
}

}  // namespace detail

/// A linear map as products read it: views of memory that outlives it.
template <Scalar T>
struct TransposedLinear {
  Operand<T> weight;        ///< Wᵀ, in × out
  const T* bias = nullptr;  ///< out values, or null for none
};

/// Of weights as they train: transposed into scratch memory.
template <Scalar T>
[[nodiscard]] TransposedLinear<T> transposed(const Linear<T>& linear, const Compute& compute) {
  return {transposed<T>(linear.weight, compute), linear.bias.size() == 0 ? nullptr : linear.bias.data()};
}

/// The same in panels, for products that read the weight as a.
template <Scalar T>
[[nodiscard]] TransposedLinear<T> transposed_in_panels(const Linear<T>& linear, const Compute& compute) {
  return {transposed_in_panels<T>(linear.weight, compute), linear.bias.size() == 0 ? nullptr : linear.bias.data()};
}

/// y (rows × out) = x·Wᵀ + 1·bᵀ. @param linear not in panels; @param x rows × in, in memory apart from y
/// @param execution of the precision of the weights
template <Scalar T>
void linear_forward(const TransposedLinear<T>& linear, const ConstMatrixRef<T>& x, MatrixRef<T> y,
                    const Execution& execution) {
  detail::for_each_part(
      x.rows(), detail::linear_tile, execution, [&](Index first, Index count, const Compute& compute) {
        multiply<T>(compute.isa, operand<T>(transposed<T>(x.middleRows(first, count), compute), compute), linear.weight,
                    y.middleRows(first, count), {.column_bias = linear.bias});
      });
}

/// The same of a `Linear`, which is transposed for this call, or a `FrozenLinear`.
template <Scalar T, class Dense>
void linear_forward(const Dense& linear, const ConstMatrixRef<T>& x, MatrixRef<T> y, const Execution& execution) {
  const Workspace::Scope scope(execution.workspace);
  linear_forward<T>(transposed<T>(linear, execution.here()), x, y, execution);
}

/// x_gradient (rows × in) = G·W, of the weight alone, or += where `terms` say so. @param y_gradient G, rows × out
template <Scalar T>
void linear_input_backward(const ConstMatrixRef<T>& weight, const ConstMatrixRef<T>& y_gradient,
                           MatrixRef<T> x_gradient, const Execution& execution, const ProductTerms<T>& terms = {}) {
  detail::for_each_part(y_gradient.rows(), detail::linear_tile, execution,
                        [&](Index first, Index count, const Compute& compute) {
                          multiply<T>(compute.isa, transposed<T>(y_gradient.middleRows(first, count), compute), weight,
                                      x_gradient.middleRows(first, count), terms);
                        });
}

namespace detail {

/// Outputs of one task of a weight's gradient. Each task reads all rows of x, so that few large ones read less; the
/// kernels' sums are the same however outputs are cut, Eigen's are not.
template <Scalar T>
[[nodiscard]] Index weight_gradient_outputs(Index outputs, const Execution& execution) {
  constexpr Index least = 64, most = 256;
  if (!std::same_as<T, float> || execution.isa == Isa::eigen) return least;
  return std::clamp(outputs / execution.pool.threads(), least, most);
}

}  // namespace detail

/// gradient += Gᵀ·x, and its bias, where there is one, += Gᵀ·1. Sums over rows run in their order, in one piece.
/// @param x rows × in, @param y_gradient G, rows × out
template <Scalar T>
void linear_weight_backward(const ConstMatrixRef<T>& x, const ConstMatrixRef<T>& y_gradient, MatrixRef<T> weight,
                            T* bias, const Execution& execution) {
  const Index outputs = detail::weight_gradient_outputs<T>(weight.rows(), execution);
  detail::for_each_part(weight.rows(), outputs, execution, [&](Index first, Index count, const Compute& compute) {
    const auto gradients = y_gradient.middleCols(first, count);
    multiply_add<T>(compute.isa, gradients, x, weight.middleRows(first, count));
    if (bias == nullptr) return;
    Eigen::Map<Matrix<T>> sums(bias + first, 1, count);
    constexpr Index rows = 256;  // at a time: sums of sums round less
    for (Index row = 0; row < gradients.rows(); row += rows) {
      sums += gradients.middleRows(row, std::min(rows, gradients.rows() - row)).colwise().sum();
    }
  });
}

/// The same of a linear map's weight and bias.
template <Scalar T>
void linear_weight_backward(const ConstMatrixRef<T>& x, const ConstMatrixRef<T>& y_gradient, Linear<T>& gradient,
                            const Execution& execution) {
  linear_weight_backward<T>(x, y_gradient, gradient.weight, gradient.bias.size() == 0 ? nullptr : gradient.bias.data(),
                            execution);
}

/// Adds to the gradients of a linear map and of its input.
/// @param x rows × in, @param y_gradient rows × out, @param x_gradient rows × in
template <Scalar T>
void linear_backward(const Linear<T>& linear, const ConstMatrixRef<T>& x, const ConstMatrixRef<T>& y_gradient,
                     MatrixRef<T> x_gradient, Linear<T>& gradient, const Execution& execution) {
  linear_input_backward<T>(linear.weight, y_gradient, x_gradient, execution, {.add = true});
  linear_weight_backward<T>(x, y_gradient, gradient, execution);
}

}  // namespace linformer::inline LINFORMER_ABI
