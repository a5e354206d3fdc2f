#pragma once

#include <linformer/kernels/gelu.hpp>
#include <linformer/nn/linear_product.hpp>

#include <algorithm>

namespace linformer::inline LINFORMER_ABI {

namespace detail {

/// Rows of a tile: whole tiles of a product on every path; x, the result and some features of the inner layer stay in
/// the second-level cache beside the weights that stream through it.
inline constexpr Index feed_forward_tile = 64;

/// Features of the inner layer that exist at a time: their activations stay in the second-level cache. A multiple of
/// the depth in which products sum on every path, so that sums are those of one product.
inline constexpr Index feed_forward_features = 512;

}  // namespace detail

/// y (m × D) = GELU(x·W₁ᵀ + 1·b₁ᵀ)·W₂ᵀ + 1·b₂ᵀ of a tile of rows, on the calling thread. A row is a column from x to
/// the result, as a query is in attention: weights are read in place, and so are activations, some features at a time.
/// @param intermediate W₁ᵀ, D × F; @param output W₂ᵀ, F × D, best in panels
/// @param x m × D, in memory apart from y
/// @param on_inner called as on_inner(first, inner) with (x·W₁ᵀ + 1·b₁ᵀ)ᵀ of the features from `first` on, a row a
///   column, before GELU: backward needs them
/// @param compute of the precision of the weights
template <Scalar T, class OnInner>
void feed_forward(const TransposedLinear<T>& intermediate, const TransposedLinear<T>& output, Gelu activation,
                  const ConstMatrixRef<T>& x, MatrixRef<T> y, const OnInner& on_inner, const Compute& compute) {
  const Workspace::Scope scope(compute.workspace);
  const Index rows = x.rows(), features = intermediate.weight.cols();
  const Operand<T> columns = operand<T>(transposed<T>(x, compute), compute);
  auto result = compute.workspace.matrix<T>(y.cols(), rows);
  for (Index first = 0; first < features; first += detail::feed_forward_features) {
    const Workspace::Scope of_part(compute.workspace);
    const Index count = std::min(detail::feed_forward_features, features - first);
    const bool last = first + count == features;
    auto inner = compute.workspace.matrix<T>(count, rows);
    multiply<T>(compute.isa, intermediate.weight.middle_cols(first, count), columns, inner,
                {.row_bias = intermediate.bias != nullptr ? intermediate.bias + first : nullptr});
    on_inner(first, inner);
    gelu<T>(compute.isa, activation, inner);
    multiply<T>(compute.isa, output.weight.middle_rows(first, count), operand<T>(inner, compute), result,
                {.add = first != 0, .row_bias = last ? output.bias : nullptr});
  }
  transpose<T>(compute.isa, result, y);
}

/// Backward of a tile of rows with respect to x, on the calling thread, and what the gradients of the weights need.
/// @param inner x·W₁ᵀ + 1·b₁ᵀ, m × F, as forward's on_inner had it; @param y_gradient m × D
/// @param active m × F: written, GELU(inner); @param inner_gradient m × F: written
/// @param x_gradient m × D: written, in memory apart from y_gradient
template <Scalar T>
void feed_forward_backward(const ConstMatrixRef<T>& intermediate, const ConstMatrixRef<T>& output, Gelu activation,
                           const ConstMatrixRef<T>& inner, const ConstMatrixRef<T>& y_gradient, MatrixRef<T> active,
                           MatrixRef<T> inner_gradient, MatrixRef<T> x_gradient, const Compute& compute) {
  const Workspace::Scope scope(compute.workspace);
  const auto columns = transposed<T>(y_gradient, compute);
  for (Index first = 0; first < inner.cols(); first += detail::feed_forward_features) {
    const Workspace::Scope of_part(compute.workspace);
    const Index count = std::min(detail::feed_forward_features, inner.cols() - first);
    const auto part = [&](auto&& all) { return all.middleCols(first, count); };
    MatrixRef<T> gradient = part(inner_gradient), its_active = part(active);
    its_active = part(inner);
    gelu<T>(compute.isa, activation, its_active);
    multiply<T>(compute.isa, columns, part(output), gradient);
    gelu_gradient<T>(compute.isa, activation, part(inner), gradient);
    multiply<T>(compute.isa, transposed<T>(gradient, compute), intermediate.middleRows(first, count), x_gradient,
                {.add = first != 0});
  }
}

}  // namespace linformer::inline LINFORMER_ABI
