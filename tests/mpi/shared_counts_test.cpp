#include <linformer/mpi/world.hpp>

#include "../../examples/support/shared_counts.hpp"

#include "support/catch.hpp"

using namespace linformer;

TEST_CASE("counts of processes that tell them unequally often add up, and nobody waits before the end", "[mpi]") {
  const MpiWorld world(MPI_COMM_WORLD);
  const auto rank = static_cast<double>(world.rank()), ranks = static_cast<double>(world.size());
  SharedCounts<MpiWorld, 2> counts(world);
  double seen = 0;
  for (int i = 0; i < 1000 * (world.rank() + 1); ++i) {
    counts.mine()[0] += 1;
    counts.mine()[1] -= rank;
    counts.update();
    CHECK(counts.all()[0] >= seen);  // a sum that arrives is never older than one before
    seen = counts.all()[0];
  }
  const auto sums = counts.finish([&] {
    CHECK(counts.all()[0] >= seen);
    seen = counts.all()[0];
  });
  CHECK(sums[0] == 1000 * ranks * (ranks + 1) / 2);
  CHECK(sums[1] == -1000 * (ranks - 1) * ranks * (ranks + 1) / 3);  // sum of r(r + 1)
}
