#pragma once

#include <linformer/parallel/part.hpp>
#include <linformer/parallel/world.hpp>

#include <algorithm>
#include <condition_variable>
#include <exception>
#include <map>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <thread>
#include <utility>
#include <vector>

/// Ranks that are threads of one process, of which one runs at a time: it hands over where it waits for the others. So
/// any code may run in them that a single thread may run, Catch's assertions among it. See `run_ranks`.
class ThreadWorld {
  using Index = linformer::Index;

  /// What the ranks of all worlds of one run share.
  struct Run {
    std::mutex turn;
    std::condition_variable changed;
    std::exception_ptr failure;
  };

 public:
  struct Done {
    [[nodiscard]] static bool ready() { return true; }
    void wait() {}
  };

  [[nodiscard]] Index rank() const { return rank_; }
  [[nodiscard]] Index size() const { return static_cast<Index>(shared_->given.size()); }

  template <linformer::Scalar T>
  void sum(std::span<T> values) {
    reduce(values, [](T a, T b) { return a + b; });
  }
  template <linformer::Scalar T>
  void maximum(std::span<T> values) {
    reduce(values, [](T a, T b) { return std::max(a, b); });
  }
  template <linformer::Scalar T>
  [[nodiscard]] Done start_sum(std::span<T> values) {
    sum(values);
    return {};
  }
  template <linformer::Scalar T>
  void reduce_scatter(std::span<T> values) {
    sum(values);
  }
  template <linformer::Scalar T>
  void all_gather(std::span<T> values) {
    const std::vector<const void*> given = exchange(values.data());
    for (Index rank = 0; rank < size(); ++rank) {
      const auto part = linformer::part_of_rank(static_cast<Index>(values.size()), rank, size());
      const T* const theirs = static_cast<const T*>(given[static_cast<std::size_t>(rank)]);
      if (rank != rank_) std::copy(theirs + part.begin, theirs + part.end, values.begin() + part.begin);
    }
    wait_for_all();  // nobody changes what is still read
  }
  [[nodiscard]] ThreadWorld split(Index color, Index key) {
    const std::pair<Index, Index> asked(color, key);
    const std::vector<const void*> given = exchange(&asked);
    std::vector<std::pair<Index, Index>> members;  // key, rank here
    for (Index rank = 0; rank < size(); ++rank) {
      const auto& its = *static_cast<const std::pair<Index, Index>*>(given[static_cast<std::size_t>(rank)]);
      if (its.first == color) members.emplace_back(its.second, rank);
    }
    std::ranges::sort(members);
    std::shared_ptr<Shared>& part = shared_->parts[color];
    if (!part) part = std::make_shared<Shared>(shared_->run, members.size());
    const auto own = std::ranges::find(members, rank_, [](const auto& member) { return member.second; });
    const ThreadWorld result(part, own - members.begin());
    wait_for_all();
    shared_->parts.clear();
    wait_for_all();
    return result;
  }

  /// Calls body(world) in each rank; the first exception is thrown here, after it has ended the others.
  template <class Body>
  static void run(Index ranks, const Body& body) {
    auto run = std::make_shared<Run>();
    auto shared = std::make_shared<Shared>(run, static_cast<std::size_t>(ranks));
    std::vector<std::thread> threads;
    for (Index rank = 0; rank < ranks; ++rank) {
      threads.emplace_back([&, rank] {
        std::unique_lock turn(run->turn);
        try {
          body(ThreadWorld(shared, rank));
        } catch (...) {
          if (!run->failure) run->failure = std::current_exception();
          run->changed.notify_all();
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    if (run->failure) std::rethrow_exception(run->failure);
  }

 private:
  /// What the ranks of one world share.
  struct Shared {
    Shared(std::shared_ptr<Run> of_run, std::size_t size) : run(std::move(of_run)), given(size) {}

    std::shared_ptr<Run> run;
    std::vector<const void*> given;  // by each rank
    std::size_t waiting = 0, round = 0;
    std::map<Index, std::shared_ptr<Shared>> parts;  // by colour
  };

  ThreadWorld(std::shared_ptr<Shared> shared, Index rank) : shared_(std::move(shared)), rank_(rank) {}

  /// The calling rank has the turn, and has it again afterwards.
  void wait_for_all() {
    if (++shared_->waiting == shared_->given.size()) {
      shared_->waiting = 0;
      ++shared_->round;
      shared_->run->changed.notify_all();
      return;
    }
    std::unique_lock turn(shared_->run->turn, std::adopt_lock);
    shared_->run->changed.wait(
        turn, [&, round = shared_->round] { return shared_->round != round || shared_->run->failure; });
    turn.release();  // keeps it locked
    if (shared_->run->failure) throw std::runtime_error("another rank has failed");
  }

  /// What each rank gave, until the next `wait_for_all` of all of them.
  std::vector<const void*> exchange(const void* own) {
    shared_->given[static_cast<std::size_t>(rank_)] = own;
    wait_for_all();
    return shared_->given;
  }

  template <linformer::Scalar T, class Operation>
  void reduce(std::span<T> values, const Operation& operation) {
    const std::vector<const void*> given = exchange(values.data());
    const T* const first = static_cast<const T*>(given[0]);
    std::vector<T> result(first, first + values.size());
    for (std::size_t rank = 1; rank < given.size(); ++rank) {
      const T* const theirs = static_cast<const T*>(given[rank]);
      for (std::size_t i = 0; i < values.size(); ++i) result[i] = operation(result[i], theirs[i]);
    }
    wait_for_all();
    std::ranges::copy(result, values.begin());
  }

  std::shared_ptr<Shared> shared_;
  Index rank_;
};

static_assert(linformer::World<ThreadWorld>);

/// Calls body(world) in each of some ranks of one process.
template <class Body>
void run_ranks(linformer::Index ranks, const Body& body) {
  ThreadWorld::run(ranks, body);
}
