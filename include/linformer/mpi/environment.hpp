#pragma once

#include <linformer/core/abi.hpp>

#include <mpi.h>

#include <cstdio>
#include <cstdlib>
#include <exception>

namespace linformer::inline LINFORMER_ABI {

/// MPI from here to the end of the scope: one object, in main, before any MpiWorld. Only the thread that made it may
/// call MPI; others may compute.
class MpiEnvironment {
 public:
  /// @param argc, argv of main, of which MPI may take its own
  MpiEnvironment(int& argc, char**& argv) {
    int provided = 0;
    MPI_Init_thread(&argc, &argv, MPI_THREAD_FUNNELED, &provided);
  }
  MpiEnvironment(const MpiEnvironment&) = delete;
  MpiEnvironment& operator=(const MpiEnvironment&) = delete;
  /// Left by an exception, it ends all processes: the others would wait for this one for ever.
  ~MpiEnvironment() {
    if (std::uncaught_exceptions() > 0) abort("left by an exception");
    MPI_Finalize();
  }

  /// Whether a launcher of MPI, such as mpirun or srun, has started this process: one that was started alone need not
  /// begin MPI at all. Asks for what Open MPI, PMIx and PMI (MPICH, Intel MPI, Slurm) leave in the environment.
  [[nodiscard]] static bool launched() {
    for (const char* name : {"OMPI_COMM_WORLD_SIZE", "PMIX_RANK", "PMI_RANK"}) {
      if (std::getenv(name) != nullptr) return true;
    }
    return false;
  }

  /// Ends all processes of the program at once, after a message that names this one. @param status 1 … 255, of each
  [[noreturn]] void abort(const char* message, int status = 1) const noexcept {
    int rank = 0;
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    std::fprintf(stderr, "rank %d: %s\n", rank, message);
    std::fflush(nullptr);
    MPI_Abort(MPI_COMM_WORLD, status);
    std::terminate();  // MPI_Abort does not return
  }

  /// Runs a program's body. An exception in one process ends all. @param body called as body(); its exit status
  template <class Body>
  int run(const Body& body) const {
    try {
      return body();
    } catch (const std::exception& error) {
      abort(error.what());
    }
  }
};

}  // namespace linformer::inline LINFORMER_ABI
