#pragma once

#include <linformer/core/error.hpp>

#include <atomic>
#include <condition_variable>
#include <exception>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

namespace linformer::inline LINFORMER_ABI {

/// Threads that wait for work. A pool of one creates no thread: the caller works alone. Callers that share a pool take
/// turns. Work given to a pool must not call `run` on the same pool.
class ThreadPool {
 public:
  /// @param threads how many work at a time, the calling thread among them. @throws Error invalid_configuration if < 1.
  explicit ThreadPool(Index threads) {
    detail::require(threads >= 1, ErrorCode::invalid_configuration, "threads", "at least 1", std::to_string(threads));
    try {
      for (Index worker = 1; worker < threads; ++worker) {
        workers_.emplace_back([this, worker] { wait_for_work(worker); });
      }
    } catch (...) {
      stop();
      throw;
    }
  }
  ~ThreadPool() { stop(); }
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  [[nodiscard]] Index threads() const noexcept { return static_cast<Index>(workers_.size()) + 1; }

  /// Calls `work(task, worker)` once for each task in [0, tasks), worker in [0, threads()), and returns when all have
  /// ended. Which worker gets a task is not determined. The first exception is rethrown here.
  template <class Work>
  void run(Index tasks, const Work& work) {
    if (workers_.empty() || tasks <= 1) {
      for (Index task = 0; task < tasks; ++task) work(task, Index{0});
      return;
    }
    const std::lock_guard<std::mutex> turn(turn_);
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      call_ = [](const void* object, Index task, Index worker) { (*static_cast<const Work*>(object))(task, worker); };
      work_ = &work;
      tasks_ = tasks;
      next_ = 0;
      running_ = static_cast<Index>(workers_.size());
      failure_ = nullptr;
      ++round_;
    }
    wake_.notify_all();
    drain(0);
    spin_until([this] { return running_ == 0; });
    std::unique_lock<std::mutex> lock(mutex_);
    done_.wait(lock, [this] { return running_ == 0; });
    if (failure_) std::rethrow_exception(failure_);
  }

 private:
  void wait_for_work(Index worker) {
    std::size_t seen = 0;
    for (;;) {
      spin_until([&] { return stopping_ || round_ != seen; });
      {
        std::unique_lock<std::mutex> lock(mutex_);
        wake_.wait(lock, [&] { return stopping_ || round_ != seen; });
        if (stopping_) return;
        seen = round_;
      }
      drain(worker);
      const std::lock_guard<std::mutex> lock(mutex_);
      if (--running_ == 0) done_.notify_one();
    }
  }

  /// Looks for some microseconds before the system is asked to wake the thread, which takes longer than many a task:
  /// a layer's steps follow each other closely.
  template <class Ready>
  static void spin_until(const Ready& ready) {
    constexpr int looks = 1000;
    for (int look = 0; look < looks && !ready(); ++look) {
#if defined(__x86_64__) && defined(__GNUC__)
      __builtin_ia32_pause();
#else
      std::this_thread::yield();
#endif
    }
  }

  void drain(Index worker) {
    for (Index task = next_++; task < tasks_; task = next_++) {
      try {
        call_(work_, task, worker);
      } catch (...) {
        const std::lock_guard<std::mutex> lock(mutex_);
        if (!failure_) failure_ = std::current_exception();
        next_ = tasks_;
      }
    }
  }

  void stop() {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      stopping_ = true;
    }
    wake_.notify_all();
    for (std::thread& worker : workers_) worker.join();
    workers_.clear();
  }

  std::mutex turn_, mutex_;
  std::condition_variable wake_, done_;
  void (*call_)(const void*, Index, Index) = nullptr;
  const void* work_ = nullptr;
  Index tasks_ = 0;
  std::atomic<Index> next_{0}, running_{0};
  std::atomic<std::size_t> round_{0};
  std::atomic<bool> stopping_{false};
  std::exception_ptr failure_;
  std::vector<std::thread> workers_;
};

}  // namespace linformer::inline LINFORMER_ABI
