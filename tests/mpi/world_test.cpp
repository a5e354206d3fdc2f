#include <linformer/mpi/world.hpp>

#include "support/world_checks.hpp"

using namespace linformer;

TEST_CASE("the processes of a communicator are a world", "[mpi]") {
  // Three values a call: everything goes in several pieces, which cut parts at any place.
  const Index most_values = GENERATE(Index{3}, Index{1} << 28);
  const MpiWorld world(MPI_COMM_WORLD, most_values);
  check_collectives<float>(world);
  check_collectives<double>(world);
  check_split(world);
}
