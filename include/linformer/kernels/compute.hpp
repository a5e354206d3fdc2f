#pragma once

#include <linformer/core/thread_pool.hpp>
#include <linformer/core/workspace.hpp>
#include <linformer/kernels/isa.hpp>

namespace linformer::inline LINFORMER_ABI {

/// What code on one thread computes with.
struct Compute {
  Workspace& workspace;
  Isa isa;
};

/// What a call computes with: its threads, its scratch memory, its instruction set.
struct Execution {
  ThreadPool& pool;
  Workspace& workspace;
  Isa isa;

  /// For the calling thread.
  [[nodiscard]] Compute here() const { return {workspace, isa}; }

  /// Calls work(task, compute) once for each task in [0, tasks), each on scratch memory of its own that is given back
  /// when the task ends.
  template <class Work>
  void run(Index tasks, const Work& work) const {
    workspace.reserve_workers(pool.threads());
    pool.run(tasks, [&](Index task, Index worker) {
      Workspace& scratch = workspace.worker(worker);
      const Workspace::Scope scope(scratch);
      work(task, Compute{scratch, isa});
    });
  }
};

}  // namespace linformer::inline LINFORMER_ABI
