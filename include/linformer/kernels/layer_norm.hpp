#pragma once

#include <linformer/core/matrix.hpp>
#include <linformer/kernels/vector_kernels.hpp>

#include <array>
#include <cmath>
#include <span>

namespace linformer::inline LINFORMER_ABI {

namespace detail {

/// The sum of term(j), j < count, in eight partial sums whose order does not depend on where the terms lie, as that of
/// Eigen's sums does.
template <Scalar T, class Term>
[[nodiscard]] T sum_of_terms(Index count, const Term& term) {
  std::array<T, 8> sums{};
  for (Index j = 0; j < count; ++j) sums[static_cast<std::size_t>(j % 8)] += term(j);
  return ((sums[0] + sums[1]) + (sums[2] + sums[3])) + ((sums[4] + sums[5]) + (sums[6] + sums[7]));
}

/// Layer norm on Isa::eigen; means and reciprocals may be null.
template <Scalar T>
void reference_layer_norm(const ConstMatrixRef<T>& x, const Vector<T>& weight, const Vector<T>& bias, T epsilon,
                          MatrixRef<T> y, T* means, T* reciprocals) {
  const Index columns = x.cols();
  const T count = static_cast<T>(columns);
  for (Index i = 0; i < x.rows(); ++i) {
    const T about = sum_of_terms<T>(columns, [&](Index j) { return x(i, j); }) / count;
    const T correction = sum_of_terms<T>(columns, [&](Index j) { return x(i, j) - about; }) / count;
    const T square = sum_of_terms<T>(columns, [&](Index j) { return (x(i, j) - about) * (x(i, j) - about); }) / count;
    const T mean = about + correction;
    const T variance = square - correction * correction;
    // Rounding may leave it below zero, not NaN.
    const T reciprocal = 1 / std::sqrt((variance < 0 ? 0 : variance) + epsilon);
    if (means != nullptr) means[i] = mean;
    if (reciprocals != nullptr) reciprocals[i] = reciprocal;
    for (Index j = 0; j < columns; ++j) y(i, j) = (x(i, j) - mean) * reciprocal * weight(j) + bias(j);
  }
}

}  // namespace detail

/// Layer norm of each row (Ba, Kiros and Hinton 2016, arXiv 1607.06450): y = (x − μ)·r·γ + β, r = 1/√(σ² + ε), with the
/// row's mean μ and its biased variance σ², by the corrected two-pass algorithm (Chan, Golub and LeVeque 1983): first
/// the mean, then the differences from it, whose sum corrects the mean and whose squares make the variance.
///
/// Let u be the unit roundoff, γ_p = p·u / (1 − p·u), A the mean of |x| and q = γ_D·A·r, and q ≤ 1 and D·u ≤ 1/256.
/// Overflow and underflow aside, the mean is within e = u·|μ| + γ_{D+2}·(σ + γ_D·A) of μ, r within η·r,
/// η = γ_{D+9}·(1 + q)², and y within 17/16·|γ_j|·r·(e + |x − μ|·(η + γ_4)) + γ_2·|β_j|. A row of at most 2048 equal
/// values x gives exactly β where ε is positive and (x·D·u)² does not overflow; where ε is zero it gives NaN. NaN, an
/// infinity, or a sum that overflows makes the whole of its row NaN and no other. On one path a row's bits depend on
/// that row, γ, β and ε alone.
///
/// @param x rows × D
/// @param weight γ, D values; @param bias β, D values
/// @param epsilon ε ≥ 0
/// @param y rows × D: x itself, or memory apart from it
/// @param means the means of rows as they were subtracted; empty for none
/// @param reciprocals r of each row; empty for none
template <Scalar T>
void layer_norm(Isa isa, const ConstMatrixRef<T>& x, const Vector<T>& weight, const Vector<T>& bias, T epsilon,
                MatrixRef<T> y, std::span<T> means = {}, std::span<T> reciprocals = {}) {
  eigen_assert(y.rows() == x.rows() && y.cols() == x.cols() && weight.size() == x.cols() && bias.size() == x.cols());
  eigen_assert(means.empty() || means.size() == static_cast<std::size_t>(x.rows()));
  eigen_assert(reciprocals.empty() || reciprocals.size() == static_cast<std::size_t>(x.rows()));
  T* const mean = means.empty() ? nullptr : means.data();
  T* const reciprocal = reciprocals.empty() ? nullptr : reciprocals.data();
#if LINFORMER_HAS_VECTOR_KERNELS
  if constexpr (std::same_as<T, float>) {
    if (isa != Isa::eigen) {
      detail::vector_kernels(isa).layer_norm(x.rows(), x.cols(), x.data(), x.outerStride(), weight.data(), bias.data(),
                                             epsilon, y.data(), y.outerStride(), mean, reciprocal);
      return;
    }
  }
#endif
  detail::reference_layer_norm<T>(x, weight, bias, epsilon, y, mean, reciprocal);
}

/// Backward of layer norm, in place: from G, the gradient of y, that of x, r·(g − mean(g) − x̂·mean(g∘x̂)), g = G∘γ and
/// x̂ = (x − μ)·r; adds Σ G∘x̂ and Σ G over the rows, in their order, to the gradients of γ and β.
/// @param x rows × D, @param weight γ, D values; @param means μ, @param reciprocals r of each row, as forward gave them
/// @param gradient rows × D: on entry G; in memory apart from x
template <Scalar T>
void layer_norm_gradient(Isa isa, const ConstMatrixRef<T>& x, const Vector<T>& weight, std::span<const T> means,
                         std::span<const T> reciprocals, MatrixRef<T> gradient, Eigen::Ref<Vector<T>> weight_gradient,
                         Eigen::Ref<Vector<T>> bias_gradient) {
  const Index columns = x.cols();
  eigen_assert(gradient.rows() == x.rows() && gradient.cols() == columns && weight.size() == columns);
  eigen_assert(means.size() == static_cast<std::size_t>(x.rows()) && reciprocals.size() == means.size());
  eigen_assert(weight_gradient.size() == columns && bias_gradient.size() == columns);
#if LINFORMER_HAS_VECTOR_KERNELS
  if constexpr (std::same_as<T, float>) {
    if (isa != Isa::eigen) {
      detail::vector_kernels(isa).layer_norm_gradient(
          x.rows(), columns, x.data(), x.outerStride(), weight.data(), means.data(), reciprocals.data(),
          gradient.data(), gradient.outerStride(), weight_gradient.data(), bias_gradient.data());
      return;
    }
  }
#endif
  const T count = static_cast<T>(columns);
  for (Index i = 0; i < x.rows(); ++i) {
    const T mean = means[static_cast<std::size_t>(i)], reciprocal = reciprocals[static_cast<std::size_t>(i)];
    const auto normal = [&](Index j) { return (x(i, j) - mean) * reciprocal; };
    const auto g = [&](Index j) { return gradient(i, j) * weight(j); };
    const T mean_of_g = detail::sum_of_terms<T>(columns, g) / count;
    const T along = detail::sum_of_terms<T>(columns, [&](Index j) { return g(j) * normal(j); }) / count;
    for (Index j = 0; j < columns; ++j) {
      weight_gradient(j) += gradient(i, j) * normal(j);
      bias_gradient(j) += gradient(i, j);
      gradient(i, j) = reciprocal * (g(j) - mean_of_g - normal(j) * along);
    }
  }
}

}  // namespace linformer::inline LINFORMER_ABI
