#pragma once

#include <linformer/parallel/world.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <optional>
#include <span>
#include <utility>

/// What processes have done, counted by each and known to all while they go on: sums are on their way while everybody
/// works, and nobody waits for anybody before the end.
/// @tparam N counts
template <linformer::World W, std::size_t N>
class SharedCounts {
 public:
  explicit SharedCounts(W world) : world_(std::move(world)) { start(); }

  /// This process's own.
  [[nodiscard]] std::array<double, N>& mine() { return mine_; }
  /// Sums over all processes, as of a moment not long ago.
  [[nodiscard]] const std::array<double, N>& all() const { return all_; }

  /// Takes up sums that have arrived, and sends new ones. Cheap: to be called often.
  void update() {
    if (!pending_->ready()) return;
    take();
    start();
  }

  /// Waits until all processes have called it. @param look called as look() whenever sums have arrived
  /// @return the sums of everything
  template <class Look>
  const std::array<double, N>& finish(const Look& look) {
    finished_ = 1;
    for (;;) {
      pending_->wait();
      take();
      look();
      if (sums_[N] == static_cast<double>(world_.size())) return all_;
      start();
    }
  }

 private:
  using Pending = decltype(std::declval<W&>().start_sum(std::declval<std::span<double>>()));

  void start() {
    std::copy(mine_.begin(), mine_.end(), sums_.begin());
    sums_[N] = finished_;
    pending_.emplace(world_.start_sum(std::span<double>(sums_)));
  }
  void take() { std::copy_n(sums_.begin(), N, all_.begin()); }

  W world_;
  std::array<double, N> mine_{}, all_{};
  std::array<double, N + 1> sums_{};  ///< on their way; the last: how many processes have finished
  double finished_ = 0;
  std::optional<Pending> pending_;
};
