#pragma once

#include <linformer/core/matrix.hpp>
#include <linformer/train/loss_sum.hpp>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>

namespace linformer::inline LINFORMER_ABI {

/// How the losses of entries are weighted.
template <Scalar T>
struct SigmoidLossOptions {
  std::span<const T> positive_weights = {};  ///< p, at least 0, one a label: times the loss where it holds; empty: ones
  Index first_row = 0;                       ///< of a tile, by which errors name rows
};

namespace detail {

template <Scalar T>
void check_sigmoid_loss(Index rows, Index labels, std::span<const std::uint8_t> targets,
                        const SigmoidLossOptions<T>& options) {
  const Index size = rows * labels;
  require(
      static_cast<Index>(targets.size()) == size, ErrorCode::shape_mismatch, "targets",
      [&] { return std::to_string(size) + " values"; }, [&] { return std::to_string(targets.size()); });
  if (!options.positive_weights.empty()) {
    require_shape("positive weights", static_cast<Index>(options.positive_weights.size()), 1, labels, 1);
  }
  for (Index i = 0; i < size; ++i) {
    const std::uint8_t target = targets[static_cast<std::size_t>(i)];
    if (target <= 1) continue;
    throw Error(ErrorCode::out_of_range, "target of row " + std::to_string(options.first_row + i / labels), "0 or 1",
                std::to_string(target));
  }
}

struct SigmoidTerm {
  double loss, gradient;
};

/// −log σ(z) where the label holds, −log(1 − σ(z)) where it does not, and the derivative; no difference cancels.
inline SigmoidTerm sigmoid_term(double z, bool holds) {
  const double towards = holds ? z : -z;  // the loss is log(1 + exp(−towards))
  const double small = std::exp(-std::abs(z));
  const double miss = (towards >= 0 ? small : 1) / (1 + small);  // σ(−towards)
  return {std::log1p(small) + (towards < 0 ? -towards : 0), holds ? -miss : miss};
}

/// The sum; `gradient(i, j, value)` is told each derivative.
template <Scalar T, class Gradient>
LossSum sum_sigmoid_loss(const ConstMatrixRef<T>& logits, std::span<const std::uint8_t> targets,
                         const SigmoidLossOptions<T>& options, const Gradient& gradient) {
  check_sigmoid_loss(logits.rows(), logits.cols(), targets, options);
  LossSum sum;
  for (Index i = 0; i < logits.rows(); ++i) {
    for (Index j = 0; j < logits.cols(); ++j) {
      const bool holds = targets[static_cast<std::size_t>(i * logits.cols() + j)] == 1;
      const auto [loss, slope] = sigmoid_term(static_cast<double>(logits(i, j)), holds);
      const double weight = holds && !options.positive_weights.empty()
                                ? static_cast<double>(options.positive_weights[static_cast<std::size_t>(j)])
                                : 1;
      sum += {weight * loss, 1};
      gradient(i, j, weight * slope);
    }
  }
  return sum;
}

}  // namespace detail

/// Binary cross-entropy of logits for labels that do not exclude each other, as PyTorch's
/// binary_cross_entropy_with_logits with `pos_weight`: an entry z loses p·log(1 + exp(−z)) where its label holds and
/// log(1 + exp(z)) where it does not, and weighs 1. Computed in double. A NaN makes the loss NaN.
/// @param logits rows × labels
/// @param targets rows × labels, row-major: 1 where a label holds, else 0
/// @return sum of losses over all entries, and their number
/// @throws Error out_of_range for a target but 0 and 1, naming the row; shape_mismatch
template <Scalar T>
[[nodiscard]] LossSum sigmoid_loss(const ConstMatrixRef<T>& logits, std::span<const std::uint8_t> targets,
                                   const SigmoidLossOptions<T>& options = {}) {
  return detail::sum_sigmoid_loss<T>(logits, targets, options, [](Index, Index, double) {});
}

/// As above, and the gradient of the sum of losses with respect to the logits, times `scale`, takes their place. Where
/// it throws, the logits are as they were.
template <Scalar T>
LossSum sigmoid_loss_gradient(MatrixRef<T> logits, std::span<const std::uint8_t> targets, double scale,
                              const SigmoidLossOptions<T>& options = {}) {
  return detail::sum_sigmoid_loss<T>(
      logits, targets, options, [&](Index i, Index j, double slope) { logits(i, j) = static_cast<T>(scale * slope); });
}

}  // namespace linformer::inline LINFORMER_ABI
