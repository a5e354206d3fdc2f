#pragma once

#include <linformer/core/matrix.hpp>

#include <concepts>
#include <span>

namespace linformer::inline LINFORMER_ABI {

/// Processes that work on one model together: which of them this is, how many there are, and how their sums are taken.
/// `sum` replaces values by their sum over all processes, the same bits in each.
template <class W>
concept World = requires(W& world, std::span<float> floats, std::span<double> doubles) {
  { world.rank() } -> std::same_as<Index>;
  { world.size() } -> std::same_as<Index>;
  world.sum(floats);
  world.sum(doubles);
};

/// One process, alone.
struct SingleProcess {
  [[nodiscard]] static Index rank() { return 0; }
  [[nodiscard]] static Index size() { return 1; }
  template <Scalar T>
  void sum(std::span<T> /*values*/) {}
};

static_assert(World<SingleProcess>);

}  // namespace linformer::inline LINFORMER_ABI
