// Adds up the ranks of all processes: those of mpirun, or this one alone.
#include <linformer/mpi.hpp>

#include <iostream>
#include <optional>

int main(int argc, char** argv) {
  std::optional<linformer::MpiEnvironment> environment;
  linformer::MpiWorld world;
  if (linformer::MpiEnvironment::launched()) {
    environment.emplace(argc, argv);
    world = linformer::MpiWorld(MPI_COMM_WORLD);
  }
  double sum[] = {static_cast<double>(world.rank())};
  world.sum(std::span<double>(sum));
  std::cout << sum[0] << "\n";
  return 2 * static_cast<linformer::Index>(sum[0]) == world.size() * (world.size() - 1) ? 0 : 1;
}
