#pragma once

#include <linformer/parallel/world.hpp>

#include <utility>

namespace linformer::inline LINFORMER_ABI {

/// What one kind of collective was asked for.
struct CollectiveCount {
  Index calls = 0;
  Index bytes = 0;  ///< of the values that one process handed over

  void add(Index of_bytes) { ++calls, bytes += of_bytes; }
};

/// What one process asked of its worlds.
struct Traffic {
  CollectiveCount sum{};  ///< started ones among them
  CollectiveCount maximum{}, reduce_scatter{}, all_gather{};

  /// Bytes that each of N processes must send at least, which bandwidth-optimal algorithms do send: (N − 1)/N of the
  /// values of a reduce-scatter or an all-gather, and twice that of a sum or maximum, which are both (Patarasuk and
  /// Yuan 2009, "Bandwidth optimal all-reduce algorithms for clusters of workstations", J. Parallel Distrib. Comput.
  /// 69).
  /// @param ranks of all the worlds that were counted
  [[nodiscard]] double bytes_sent(Index ranks) const {
    const auto values = static_cast<double>(2 * (sum.bytes + maximum.bytes) + reduce_scatter.bytes + all_gather.bytes);
    return values * static_cast<double>(ranks - 1) / static_cast<double>(ranks);
  }
};

/// A world, and those split from it, whose collectives are counted.
template <World W>
class CountedWorld {
 public:
  /// @param traffic is added to; outlives the world and its copies
  CountedWorld(W world, Traffic& traffic) : world_(std::move(world)), traffic_(&traffic) {}

  [[nodiscard]] Index rank() const { return world_.rank(); }
  [[nodiscard]] Index size() const { return world_.size(); }
  template <Scalar T>
  void sum(std::span<T> values) {
    traffic_->sum.add(bytes(values));
    world_.sum(values);
  }
  template <Scalar T>
  void maximum(std::span<T> values) {
    traffic_->maximum.add(bytes(values));
    world_.maximum(values);
  }
  template <Scalar T>
  [[nodiscard]] auto start_sum(std::span<T> values) {
    traffic_->sum.add(bytes(values));
    return world_.start_sum(values);
  }
  template <Scalar T>
  void reduce_scatter(std::span<T> values) {
    traffic_->reduce_scatter.add(bytes(values));
    world_.reduce_scatter(values);
  }
  template <Scalar T>
  void all_gather(std::span<T> values) {
    traffic_->all_gather.add(bytes(values));
    world_.all_gather(values);
  }
  [[nodiscard]] CountedWorld split(Index color, Index key) { return {world_.split(color, key), *traffic_}; }

 private:
  template <Scalar T>
  static Index bytes(std::span<T> values) {
    return static_cast<Index>(values.size_bytes());
  }

  W world_;
  Traffic* traffic_;
};

static_assert(World<CountedWorld<SingleProcess>>);

}  // namespace linformer::inline LINFORMER_ABI
