#pragma once

#include <linformer/core/matrix.hpp>

#include <cmath>

namespace linformer::inline LINFORMER_ABI {

/// When conjugate gradients stop.
struct ConjugateGradientsConfig {
  Index iterations = 50;    ///< at most
  double tolerance = 1e-4;  ///< of ‖b − A·x‖/‖b‖
};

/// Why conjugate gradients stopped.
enum class ConjugateGradientsStop {
  iterations,    ///< `ConjugateGradientsConfig::iterations` were taken
  tolerance,     ///< the residual is small enough
  no_curvature,  ///< dᵀ·A·d ≤ 0 for a direction d: A is not positive definite, or nothing is left to find within
                 ///< rounding
  not_finite,    ///< a product or b is NaN or infinite
};

/// What they came to.
struct LinearSolution {
  Index iterations = 0;
  ConjugateGradientsStop stop = ConjugateGradientsStop::iterations;
  double residual = 0;  ///< ‖b − A·x‖/‖b‖, as the iteration keeps it; 0 where both are
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
  const auto stopped = [&](ConjugateGradientsStop stop) {
    result.stop = stop;
    result.residual = squares > 0 ? std::sqrt(squares) / size : squares;
    return result;
  };
  if (!std::isfinite(size) || !std::isfinite(squares)) return stopped(ConjugateGradientsStop::not_finite);
  while (std::sqrt(squares) > config.tolerance * size) {
    if (result.iterations == config.iterations) return stopped(ConjugateGradientsStop::iterations);
    apply(direction, product);
    const double curvature = detail::inner_product<T>(direction, product);
    const T step = static_cast<T>(squares / curvature);
    if (!std::isfinite(curvature)) return stopped(ConjugateGradientsStop::not_finite);
    if (!(curvature > 0) || !std::isfinite(step)) return stopped(ConjugateGradientsStop::no_curvature);
    x += step * direction;
    residual -= step * product;
    const double before = squares;
    squares = detail::inner_product<T>(residual, residual);
    direction = residual + static_cast<T>(squares / before) * direction;
    ++result.iterations;
    if (!std::isfinite(squares)) return stopped(ConjugateGradientsStop::not_finite);
  }
  return stopped(ConjugateGradientsStop::tolerance);
}

}  // namespace linformer::inline LINFORMER_ABI
