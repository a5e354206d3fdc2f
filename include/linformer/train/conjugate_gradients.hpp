#pragma once

#include <linformer/core/matrix.hpp>

#include <cmath>

namespace linformer::inline LINFORMER_ABI {

/// When conjugate gradients stop.
struct ConjugateGradientsConfig {
  Index iterations = 50;    ///< at most
  double tolerance = 1e-4;  ///< of ‖b − A·x‖/‖b‖
};

/// What they came to.
struct LinearSolution {
  Index iterations = 0;
  double residual = 0;  ///< ‖b − A·x‖/‖b‖, as the iteration keeps it
};

namespace detail {

/// Σ aᵢ·bᵢ, summed in double.
template <Scalar T>
[[nodiscard]] double inner_product(const Vector<T>& a, const Vector<T>& b) {
  return a.template cast<double>().dot(b.template cast<double>());
}

}  // namespace detail

/// Solves A·x = b for a symmetric positive definite A that is known by its products alone (Hestenes and Stiefel 1952).
/// Each iteration lowers ½·xᵀ·A·x − bᵀ·x; memory is four vectors.
/// @param apply called as apply(in, out): writes A·in
/// @param x where to start; on return the solution
template <Scalar T, class Product>
LinearSolution conjugate_gradients(const Product& apply, const Vector<T>& b, Vector<T>& x,
                                   const ConjugateGradientsConfig& config = {}) {
  detail::require_shape("x", x.rows(), 1, b.rows(), 1);
  Vector<T> product(b.size());
  apply(x, product);
  Vector<T> residual = b - product, direction = residual;
  const double size = std::sqrt(detail::inner_product<T>(b, b));
  double squares = detail::inner_product<T>(residual, residual);
  LinearSolution result;
  while (result.iterations < config.iterations && std::sqrt(squares) > config.tolerance * size) {
    apply(direction, product);
    const double curvature = detail::inner_product<T>(direction, product);
    if (!(curvature > 0)) break;  // within rounding there is nothing left to find
    const T step = static_cast<T>(squares / curvature);
    x += step * direction;
    residual -= step * product;
    const double before = squares;
    squares = detail::inner_product<T>(residual, residual);
    direction = residual + static_cast<T>(squares / before) * direction;
    ++result.iterations;
  }
  result.residual = size > 0 ? std::sqrt(squares) / size : 0;
  return result;
}

}  // namespace linformer::inline LINFORMER_ABI
