#pragma once

#include <linformer/kernels/gelu.hpp>
#include <linformer/nn/linear_product.hpp>

namespace linformer::inline LINFORMER_ABI {

namespace detail {

// What is done to each row alone, by all threads. Matrices of one call have as many rows.

inline constexpr Index row_tile = 256;  // rows that one task takes

/// to += from.
template <Scalar T>
void add_rows(const ConstMatrixRef<T>& from, MatrixRef<T> to, const Execution& execution) {
  for_each_part(to.rows(), row_tile, execution, [&](Index first, Index count, const Compute&) {
    to.middleRows(first, count) += from.middleRows(first, count);
  });
}

/// to = from.
template <Scalar T>
void copy_rows(const ConstMatrixRef<T>& from, MatrixRef<T> to, const Execution& execution) {
  for_each_part(to.rows(), row_tile, execution, [&](Index first, Index count, const Compute&) {
    to.middleRows(first, count) = from.middleRows(first, count);
  });
}

template <Scalar T>
void zero_rows(MatrixRef<T> to, const Execution& execution) {
  for_each_part(to.rows(), row_tile, execution,
                [&](Index first, Index count, const Compute&) { to.middleRows(first, count).setZero(); });
}

/// to = from times a factor.
template <Scalar T>
void scale_rows(const ConstMatrixRef<T>& from, T factor, MatrixRef<T> to, const Execution& execution) {
  for_each_part(to.rows(), row_tile, execution, [&](Index first, Index count, const Compute&) {
    to.middleRows(first, count) = from.middleRows(first, count) * factor;
  });
}

/// to = GELU of from, which may be the same memory.
template <Scalar T>
void gelu_rows(Gelu form, const ConstMatrixRef<T>& from, MatrixRef<T> to, const Execution& execution) {
  for_each_part(to.rows(), linear_tile, execution, [&](Index first, Index count, const Compute& compute) {
    if (from.data() != to.data()) to.middleRows(first, count) = from.middleRows(first, count);
    gelu<T>(compute.isa, form, to.middleRows(first, count));
  });
}

/// As `gelu_gradient`.
template <Scalar T>
void gelu_gradient_rows(Gelu form, const ConstMatrixRef<T>& x, MatrixRef<T> gradient, const Execution& execution) {
  for_each_part(x.rows(), linear_tile, execution, [&](Index first, Index count, const Compute& compute) {
    gelu_gradient<T>(compute.isa, form, x.middleRows(first, count), gradient.middleRows(first, count));
  });
}

}  // namespace detail

}  // namespace linformer::inline LINFORMER_ABI
