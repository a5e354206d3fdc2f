#pragma once

#include <linformer/kernels/compute.hpp>

namespace linformer::inline LINFORMER_ABI::detail {

/// Calls work(b, execution) for each sequence. Where there are enough of them, each thread takes sequences of its own
/// in scratch memory of its own, by number, so that a second call finds what it needs.
template <class Work>
void for_each_sequence(Index sequences, const Execution& execution, const Work& work) {
  const Index threads = execution.pool.threads();
  if (threads == 1 || sequences < threads) {
    for (Index b = 0; b < sequences; ++b) work(b, execution);
    return;
  }
  execution.workspace.reserve_workers(threads);
  execution.pool.run(threads, [&](Index lane, Index) {
    ThreadPool alone(1);
    Workspace& own = execution.workspace.worker(lane);
    for (Index b = lane; b < sequences; b += threads) {
      const Workspace::Scope scope(own);
      work(b, Execution{alone, own, execution.isa, execution.precision});
    }
  });
}

}  // namespace linformer::inline LINFORMER_ABI::detail
