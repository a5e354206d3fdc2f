#pragma once

#include <linformer/core/matrix.hpp>
#include <linformer/kernels/vector_kernels.hpp>

#include <algorithm>
#include <cmath>
#include <numbers>

namespace linformer::inline LINFORMER_ABI {

/// The Gaussian error linear unit of Hendrycks and Gimpel 2016, arXiv 1606.08415.
enum class Gelu {
  exact,  ///< x·Φ(x), Φ the distribution function of N(0, 1)
  tanh,   ///< ½·x·(1 + tanh(√(2/π)·(x + 0.044715·x³))), within 5e-4 of it
};

namespace detail {

/// The exact form on Isa::eigen. As in vector/gelu.inl everything is computed from the lower tail.
template <Scalar T>
struct ExactGelu {
  /// |x|, capped where the tail is 0. NaN stays NaN.
  static T capped_magnitude(T x) { return std::min(std::abs(x), T{40}); }

  /// Φ(−a) = ½·erfc(z + δ), δ what rounding took from z: first order in δ, as erfc changes by 2·z²·u with z.
  static T tail(T a) {
    constexpr T root = std::numbers::sqrt2_v<T> / 2;
    const T root_rest = std::fma(-root, root, T{0.5}) / (2 * root);
    const T z = a * root;
    const T rest = std::fma(a, root, -z) + a * root_rest;
    return std::erfc(z) / 2 - rest * std::exp(-z * z) * std::numbers::inv_sqrtpi_v<T>;
  }
  static T value(T x) {
    const T a = capped_magnitude(x);
    return (x > 0 ? x : T{0}) - a * tail(a);
  }
  static T derivative(T x) {
    const T a = capped_magnitude(x), square = a * a;
    const T e = std::exp(-square / 2), density = e - e * std::fma(a, a, -square) / 2;
    const T lower = tail(a) - a * density * (std::numbers::inv_sqrtpi_v<T> / std::numbers::sqrt2_v<T>);
    return x > 0 ? 1 - lower : lower;
  }
};

/// The form with tanh on Isa::eigen.
template <Scalar T>
struct TanhGelu {
  // 2·√(2/π), 0.044715 times that, and what they lack as T
  static constexpr double s_double = 1.5957691216057308, c_double = 0.07135481627260025;
  static constexpr T s = static_cast<T>(s_double), c = static_cast<T>(c_double);
  static constexpr T s_rest = static_cast<T>(s_double - static_cast<double>(s) - 9.96930880911092e-17);
  static constexpr T c_rest = static_cast<T>(c_double - static_cast<double>(c) - 6.175149918155315e-19);

  static T capped_magnitude(T x) { return std::min(std::abs(x), T{40}); }

  /// exp(−v), v = a·(s + c·a²) to twice the precision.
  static T power(T a) {
    const T square = a * a, square_rest = std::fma(a, a, -square);
    const volatile T unfused = square * c;  // a fused sum would leave nothing for the two-sum to find
    const T product = unfused;
    const T sum = product + s, added = sum - product;
    T rest = (product - (sum - added)) + (s - added) + std::fma(square, c, -product);
    rest += square_rest * c + square * c_rest + s_rest;
    const T v = a * sum;
    const T e = std::exp(-v);
    return e - e * (std::fma(a, sum, -v) + a * rest);
  }
  static T value(T x) {
    const T a = capped_magnitude(x), e = power(a);
    return (x > 0 ? x : 0 - a * e) / (1 + e);
  }
  static T derivative(T x) {
    const T a = capped_magnitude(x), e = power(a);
    const T upper = 1 / (1 + e);
    const T lower = e * upper * (1 - a * upper * (s + 3 * c * a * a));
    return x > 0 ? 1 - lower : lower;
  }
};

template <class Form, Scalar T>
void reference_gelu(MatrixRef<T> values) {
  for (Index i = 0; i < values.rows(); ++i) {
    for (Index j = 0; j < values.cols(); ++j) values(i, j) = Form::value(values(i, j));
  }
}

template <class Form, Scalar T>
void reference_gelu_gradient(const ConstMatrixRef<T>& x, MatrixRef<T> gradient) {
  for (Index i = 0; i < x.rows(); ++i) {
    for (Index j = 0; j < x.cols(); ++j) gradient(i, j) *= Form::derivative(x(i, j));
  }
}

}  // namespace detail

/// Replaces each value by its GELU. A result of at least 32 times the least normal number is within 8 ULP of the exact
/// one for Gelu::exact and within 5 ULP for Gelu::tanh, in the negative tail too; one below that, which may be 0,
/// within 16 times the least normal number. Over all floats from 10⁻³ to 16 and their negatives the largest errors
/// are 6.99 and 3.79 ULP on the vector paths, and below 10⁻³ 5.5 and 1.7 ULP in every 61st; Isa::eigen takes erfc and
/// exp from the standard library, with glibc 2.36 within 4.3 and 3.7 ULP in every fifth float. gelu(∞) = ∞, gelu(−∞) =
/// 0, a zero gives a zero of either sign, a NaN a NaN. A value's bits do not depend on where it lies.
template <Scalar T>
void gelu(Isa isa, Gelu form, MatrixRef<T> values) {
#if LINFORMER_HAS_VECTOR_KERNELS
  if constexpr (std::same_as<T, float>) {
    if (isa != Isa::eigen) {
      const detail::VectorKernels& kernels = detail::vector_kernels(isa);
      (form == Gelu::exact ? kernels.gelu : kernels.gelu_tanh)(values.rows(), values.cols(), values.data(),
                                                               values.outerStride());
      return;
    }
  }
#endif
  if (form == Gelu::exact) {
    detail::reference_gelu<detail::ExactGelu<T>, T>(values);
  } else {
    detail::reference_gelu<detail::TanhGelu<T>, T>(values);
  }
}

/// Multiplies each gradient by the derivative of GELU at x, Φ(x) + x·φ(x), or what stands for Φ and its derivative φ in
/// the form with tanh. This factor is within 10·u·(Φ(x) + |x|·φ(x)) and 256 times the least normal number, u the unit
/// roundoff, and the product is one rounding more. (Over the floats as above the largest errors are 7.6·u and 6.9·u.)
/// The derivative is zero near x = −0.75, and there its error is not relative to itself. It is 1 at ∞, 0 at −∞ and NaN
/// at NaN. A value's bits do not depend on where it lies.
/// @param x what GELU was applied to
/// @param gradient of the shape of x, in memory apart from it
template <Scalar T>
void gelu_gradient(Isa isa, Gelu form, const ConstMatrixRef<T>& x, MatrixRef<T> gradient) {
  eigen_assert(x.rows() == gradient.rows() && x.cols() == gradient.cols());
#if LINFORMER_HAS_VECTOR_KERNELS
  if constexpr (std::same_as<T, float>) {
    if (isa != Isa::eigen) {
      const detail::VectorKernels& kernels = detail::vector_kernels(isa);
      (form == Gelu::exact ? kernels.gelu_gradient : kernels.gelu_tanh_gradient)(
          x.rows(), x.cols(), x.data(), x.outerStride(), gradient.data(), gradient.outerStride());
      return;
    }
  }
#endif
  if (form == Gelu::exact) {
    detail::reference_gelu_gradient<detail::ExactGelu<T>, T>(x, gradient);
  } else {
    detail::reference_gelu_gradient<detail::TanhGelu<T>, T>(x, gradient);
  }
}

}  // namespace linformer::inline LINFORMER_ABI
