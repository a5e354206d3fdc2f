#pragma once

#ifdef LINFORMER_EXAMPLES_MPI
#include <linformer/mpi.hpp>
#else
#include <linformer/parallel/world.hpp>
#endif

#include <cstdio>
#include <exception>
#include <optional>
#include <span>

// The processes that a program was started in: mpirun's, where it was built with MPI, or one.

#ifdef LINFORMER_EXAMPLES_MPI
using ProgramWorld = linformer::MpiWorld;
#else
using ProgramWorld = linformer::SingleProcess;
#endif

/// One object in main. Of several processes the first alone has a standard output; all have their errors.
class Processes {
 public:
  Processes([[maybe_unused]] int& argc, [[maybe_unused]] char**& argv) {
#ifdef LINFORMER_EXAMPLES_MPI
    if (!linformer::MpiEnvironment::launched()) return;
    environment_.emplace(argc, argv);
    world_ = ProgramWorld(MPI_COMM_WORLD);
    if (world_.rank() > 0 && std::freopen("/dev/null", "w", stdout) == nullptr) std::fclose(stdout);
#endif
  }

  [[nodiscard]] const ProgramWorld& world() const { return world_; }

  /// Runs the program's body: an error is told on stderr, and ends all processes. @return its exit status
  template <class Body>
  int run(const Body& body) const {
#ifdef LINFORMER_EXAMPLES_MPI
    if (environment_) return environment_->run(body);
#endif
    try {
      return body();
    } catch (const std::exception& error) {
      std::fprintf(stderr, "%s\n", error.what());
      return 1;
    }
  }

 private:
#ifdef LINFORMER_EXAMPLES_MPI
  std::optional<linformer::MpiEnvironment> environment_;
#endif
  ProgramWorld world_;
};

/// Whether any process says so: all get the same answer, after all have asked.
inline bool any_process(ProgramWorld& world, bool says_so) {
  double answer[] = {says_so ? 1.0 : 0.0};
  world.maximum(std::span<double>(answer));
  return answer[0] > 0;
}

/// Whether the first process says so: all get its answer, after all have asked. For what others may see otherwise, such
/// as a file that has just been written.
inline bool first_process_says(ProgramWorld& world, bool says_so) {
  return any_process(world, world.rank() == 0 && says_so);
}

inline void wait_for_all(ProgramWorld& world) { static_cast<void>(any_process(world, false)); }

/// The result of work that leaves files behind which others then find: done by the first process before the rest.
template <class Work>
auto first_process_first(ProgramWorld& world, const Work& work) {
  if (world.rank() > 0) wait_for_all(world);
  auto result = work();
  if (world.rank() == 0) wait_for_all(world);
  return result;
}
