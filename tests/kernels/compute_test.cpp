#include <linformer/kernels/compute.hpp>

#include "support/catch.hpp"

#include <array>
#include <atomic>
#include <stdexcept>

using namespace linformer;

TEST_CASE("an execution works every task once, each on scratch memory of its own", "[compute]") {
  for (const Index threads : {1, 3}) {
    ThreadPool pool(threads);
    Workspace workspace;
    const Execution execution{pool, workspace, Isa::eigen};
    for (int round = 0; round < 20; ++round) {
      std::array<std::atomic<int>, 50> worked{};
      std::atomic<bool> own{true};
      execution.run(50, [&](Index task, const Compute& compute) {
        ++worked[static_cast<std::size_t>(task)];
        auto scratch = compute.workspace.matrix<double>(20, 9);
        scratch.setConstant(static_cast<double>(task));
        if (&compute.workspace == &workspace || compute.isa != Isa::eigen) own = false;
        if (!(scratch.array() == static_cast<double>(task)).all()) own = false;
      });
      CHECK(own);
      for (const auto& count : worked) CHECK(count == 1);
    }
  }
}

TEST_CASE("what a task takes is given back when it ends, also by an exception", "[compute]") {
  ThreadPool pool(2);
  Workspace workspace;
  const Execution execution{pool, workspace, Isa::eigen};
  const auto take = [](Index /*task*/, const Compute& compute) {
    static_cast<void>(compute.workspace.matrix<float>(64, 16));
  };
  execution.run(100, take);
  CHECK(workspace.capacity() <= 2 * 64 * 64);  // 64 rows of 64 bytes for each of two workers
  CHECK_THROWS_AS(execution.run(2,
                                [&](Index task, const Compute& compute) {
                                  take(task, compute);
                                  throw std::runtime_error("task");
                                }),
                  std::runtime_error);
  execution.run(100, take);
  CHECK(workspace.capacity() <= 2 * 64 * 64);
}

TEST_CASE("the calling thread computes on the caller's scratch memory", "[compute]") {
  ThreadPool pool(1);
  Workspace workspace;
  const Execution execution{pool, workspace, Isa::eigen};
  CHECK(&execution.here().workspace == &workspace);
  CHECK(execution.here().isa == Isa::eigen);
}
