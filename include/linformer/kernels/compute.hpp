#pragma once

#include <linformer/core/thread_pool.hpp>
#include <linformer/core/workspace.hpp>
#include <linformer/kernels/isa.hpp>

namespace linformer::inline LINFORMER_ABI {

/// What the operands of products are rounded to; sums are kept in the scalar type.
enum class Precision {
  full,  ///< the scalar type itself
  bf16,  ///< bfloat16, for `float`: half the memory; products are faster on Isa::amx_bf16, and on AMD's avx512_bf16
};

/// What code on one thread computes with.
struct Compute {
  Workspace& workspace;
  Isa isa;
  Precision precision = Precision::full;
};

/// What a call computes with: its threads, its scratch memory, its instruction set.
struct Execution {
  ThreadPool& pool;
  Workspace& workspace;
  Isa isa;
  Precision precision = Precision::full;

  /// For the calling thread.
  [[nodiscard]] Compute here() const { return {workspace, isa, precision}; }

  /// Calls work(task, compute) once for each task in [0, tasks), each on scratch memory of its own that is given back
  /// when the task ends.
  template <class Work>
  void run(Index tasks, const Work& work) const {
    workspace.reserve_workers(pool.threads());
    pool.run(tasks, [&](Index task, Index worker) {
      Workspace& scratch = workspace.worker(worker);
      const Workspace::Scope scope(scratch);
      work(task, Compute{scratch, isa, precision});
    });
    if (tasks > 1) workspace.level_workers(pool.threads());
  }
};

}  // namespace linformer::inline LINFORMER_ABI
