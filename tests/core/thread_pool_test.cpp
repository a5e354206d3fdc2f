#include <linformer/core/thread_pool.hpp>

#include "core/thread_count.hpp"
#include "support/catch.hpp"

#include <array>
#include <atomic>
#include <chrono>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

using namespace linformer;

namespace {

/// Waits until `count` reaches `expected`; false if that takes absurdly long.
bool reaches(const std::atomic<Index>& count, Index expected) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  while (count < expected) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::yield();
  }
  return true;
}

/// Whether the indices of the tasks of a run add up.
bool sums_up(ThreadPool& pool, Index tasks) {
  std::atomic<Index> sum{0};
  pool.run(tasks, [&](Index task, Index /*worker*/) { sum += task + 1; });
  return sum == tasks * (tasks + 1) / 2;
}

}  // namespace

TEST_CASE("a pool of one works in the calling thread, task after task", "[thread_pool]") {
  const auto before = thread_count();
  ThreadPool pool(1);
  CHECK(pool.threads() == 1);
  CHECK(thread_count() == before);
  std::vector<Index> order;
  bool here = true;
  const auto caller = std::this_thread::get_id();
  pool.run(5, [&](Index task, Index worker) {
    order.push_back(task);
    here = here && worker == 0 && std::this_thread::get_id() == caller;
  });
  CHECK(order == std::vector<Index>{0, 1, 2, 3, 4});
  CHECK(here);
  CHECK(thread_count() == before);
}

TEST_CASE("each task is worked once, by a worker that does one thing at a time", "[thread_pool]") {
  for (const Index threads : {1, 2, 3, 8}) {
    ThreadPool pool(threads);
    REQUIRE(pool.threads() == threads);
    for (const Index tasks : {0, 1, 2, 3, 7, 100, 1000}) {
      CAPTURE(threads, tasks);
      std::vector<std::atomic<int>> worked(static_cast<std::size_t>(tasks));
      std::vector<std::atomic<bool>> busy(static_cast<std::size_t>(threads));
      std::atomic<bool> fine{true};
      pool.run(tasks, [&](Index task, Index worker) {
        if (task < 0 || task >= tasks || worker < 0 || worker >= threads) {
          fine = false;
          return;
        }
        if (busy[static_cast<std::size_t>(worker)].exchange(true)) fine = false;
        ++worked[static_cast<std::size_t>(task)];
        busy[static_cast<std::size_t>(worker)] = false;
      });
      CHECK(fine);
      bool once = true;
      for (const auto& count : worked) once = once && count == 1;
      CHECK(once);
    }
  }
}

TEST_CASE("the threads of a pool work at the same time, the caller among them", "[thread_pool]") {
  ThreadPool pool(3);
  std::atomic<Index> arrived{0}, workers{0}, callers{0};
  std::atomic<bool> met{true};
  const auto caller = std::this_thread::get_id();
  pool.run(3, [&](Index /*task*/, Index worker) {
    workers += Index{1} << worker;
    if (std::this_thread::get_id() == caller) callers += worker == 0 ? 1 : 100;
    ++arrived;
    if (!reaches(arrived, 3)) met = false;  // ends only if all three tasks are being worked
  });
  CHECK(met);
  CHECK(workers == 7);
  CHECK(callers == 1);
}

TEST_CASE("an exception of a task is rethrown and the pool works on", "[thread_pool]") {
  for (const Index threads : {1, 2, 4}) {
    CAPTURE(threads);
    ThreadPool pool(threads);
    for (int round = 0; round < 50; ++round) {
      std::atomic<Index> working{0};
      try {
        pool.run(20, [&](Index task, Index /*worker*/) {
          ++working;
          if (task == round % 20) {
            --working;
            throw std::runtime_error("task " + std::to_string(task));
          }
          --working;
        });
        FAIL_CHECK("nothing was thrown");
      } catch (const std::runtime_error& error) {
        CHECK(std::string(error.what()) == "task " + std::to_string(round % 20));
      }
      CHECK(working == 0);  // run returns after the last task that had begun
      CHECK(sums_up(pool, 20));
    }
  }
}

TEST_CASE("where every task fails, one of their exceptions arrives", "[thread_pool]") {
  ThreadPool pool(4);
  for (int round = 0; round < 50; ++round) {
    std::atomic<Index> thrown{0};
    CHECK_THROWS_AS(pool.run(100,
                             [&](Index task, Index /*worker*/) {
                               ++thrown;
                               throw task;
                             }),
                    Index);
    CHECK(thrown >= 1);
    CHECK(thrown <= 4);  // after the first failure no worker takes another task
  }
  CHECK(sums_up(pool, 100));
}

TEST_CASE("an exception in a worker other than the caller is rethrown in the caller", "[thread_pool]") {
  ThreadPool pool(2);
  std::atomic<Index> arrived{0};
  CHECK_THROWS_AS(pool.run(2,
                           [&](Index /*task*/, Index worker) {
                             ++arrived;
                             reaches(arrived, 2);
                             if (worker == 1) throw std::out_of_range("worker 1");
                           }),
                  std::out_of_range);
  CHECK(arrived == 2);
  CHECK(sums_up(pool, 2));
}

TEST_CASE("callers that share a pool take turns", "[thread_pool]") {
  ThreadPool pool(2);
  std::atomic<int> owner{-1}, mixed{0}, wrong{0};
  std::vector<std::thread> callers;
  for (int caller = 0; caller < 4; ++caller) {
    callers.emplace_back([&, caller] {
      for (int round = 0; round < 100; ++round) {
        std::atomic<Index> sum{0}, left{7};
        pool.run(7, [&](Index task, Index /*worker*/) {
          const int before = owner.exchange(caller);
          if (before != -1 && before != caller) ++mixed;
          sum += task;
          if (--left == 0) owner = -1;
        });
        if (sum != 21) ++wrong;
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
  CHECK(mixed == 0);
  CHECK(wrong == 0);
}

TEST_CASE("a pool needs a thread", "[thread_pool]") {
  for (const Index threads : {Index{0}, Index{-1}, Index{-1000000}}) {
    try {
      const ThreadPool pool(threads);
      FAIL_CHECK("nothing was thrown");
    } catch (const Error& error) {
      CHECK(error.code() == ErrorCode::invalid_configuration);
      CHECK(error.tensor() == "threads");
      CHECK(error.actual() == std::to_string(threads));
    }
  }
}

TEST_CASE("many short runs end", "[thread_pool]") {
  ThreadPool pool(3);
  int right = 0;
  for (int round = 0; round < 3000; ++round) right += sums_up(pool, round % 5) ? 1 : 0;
  CHECK(right == 3000);
}

TEST_CASE("a pool that ends leaves no thread", "[thread_pool]") {
  const auto before = thread_count();
  if (!before) {
    WARN("threads are not listed on this system");
    return;
  }
  for (int round = 0; round < 100; ++round) {
    ThreadPool pool(3);
    if (round == 0) CHECK(thread_count() == *before + 2);
    if (round % 2 == 0) pool.run(4, [](Index, Index) {});  // every second one ends unused
  }
  CHECK(thread_count_becomes(before));
  try {
    ThreadPool pool(3);
    pool.run(4, [](Index, Index) { throw std::runtime_error("failure"); });
    FAIL_CHECK("nothing was thrown");
  } catch (const std::runtime_error&) {
    CHECK(thread_count_becomes(before));
  }
}
