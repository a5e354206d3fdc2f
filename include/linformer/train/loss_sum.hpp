#pragma once

#include <linformer/parallel/world.hpp>

#include <span>

namespace linformer::inline LINFORMER_ABI {

/// A loss as two sums, so that tiles, micro-batches and ranks add up: PyTorch's mean is loss / weight.
struct LossSum {
  double loss = 0;    ///< sum of weighted losses
  double weight = 0;  ///< sum of their weights

  LossSum& operator+=(const LossSum& other) noexcept {
    loss += other.loss;
    weight += other.weight;
    return *this;
  }
  /// NaN where nothing has weight, as PyTorch's.
  [[nodiscard]] double mean() const noexcept { return loss / weight; }
};

/// What all processes have together. Collective.
template <World W>
[[nodiscard]] LossSum sum_over(W& world, const LossSum& own) {
  double sums[] = {own.loss, own.weight};
  world.sum(std::span<double>(sums));
  return {sums[0], sums[1]};
}

}  // namespace linformer::inline LINFORMER_ABI
