#pragma once

#include <linformer/core/matrix.hpp>

#include <concepts>
#include <span>

namespace linformer::inline LINFORMER_ABI {

/// What `start_sum` returns: the sum is there once `wait` has returned or `ready`, which does not wait, has said so.
/// Destroyed before, it waits.
template <class P>
concept PendingSum = std::movable<P> && requires(P& pending) {
  { pending.ready() } -> std::same_as<bool>;
  pending.wait();
};

namespace detail {

template <class W, class T>
concept HasCollectives = requires(W& world, std::span<T> values) {
  world.sum(values);
  world.maximum(values);
  { world.start_sum(values) } -> PendingSum;
  world.reduce_scatter(values);
  world.all_gather(values);
};

}  // namespace detail

/// Processes that work on one model together: `rank()` tells which of them this is, from 0, `size()` how many there
/// are. A world is a handle; a copy is the same world.
///
/// The rest is collective: every process of the world calls it, in the same order, with as many values, and it works in
/// place. Results are the same bits in every process, and again in another run of as many.
///     sum, maximum    every value becomes its sum or maximum over the processes; none may be NaN for a maximum
///     start_sum       as `sum`, that goes on meanwhile, with MPI while the process calls it, as `ready` does: nobody
///                     touches the values before the sum is there
///     reduce_scatter  the part of the values that `part_of_rank` gives this process becomes its sum over the
///                     processes; what becomes of the other parts is not said
///     all_gather      every part becomes what the process has there whose part it is
///     split(c, key)   the world of those that said the same c ≥ 0, ranked by key and then by rank here
template <class W>
concept World = std::copyable<W> && detail::HasCollectives<W, float> && detail::HasCollectives<W, double> &&
    requires(W& world, const W& seen, Index number) {
  { seen.rank() } -> std::same_as<Index>;
  { seen.size() } -> std::same_as<Index>;
  { world.split(number, number) } -> std::same_as<W>;
};

/// One process, alone.
struct SingleProcess {
  struct Done {
    [[nodiscard]] static bool ready() { return true; }
    void wait() {}
  };

  [[nodiscard]] static Index rank() { return 0; }
  [[nodiscard]] static Index size() { return 1; }
  template <Scalar T>
  void sum(std::span<T> /*values*/) {}
  template <Scalar T>
  void maximum(std::span<T> /*values*/) {}
  template <Scalar T>
  [[nodiscard]] Done start_sum(std::span<T> /*values*/) {
    return {};
  }
  template <Scalar T>
  void reduce_scatter(std::span<T> /*values*/) {}
  template <Scalar T>
  void all_gather(std::span<T> /*values*/) {}
  [[nodiscard]] SingleProcess split(Index /*color*/, Index /*key*/) { return {}; }
};

static_assert(World<SingleProcess>);

}  // namespace linformer::inline LINFORMER_ABI
