#include <linformer/parallel/counted_world.hpp>

#include "support/world_checks.hpp"

using namespace linformer;

TEST_CASE("a counted world does what its world does, and counts", "[counted_world]") {
  Traffic traffic;
  CountedWorld<SingleProcess> world(SingleProcess(), traffic);
  check_collectives<float>(world);
  check_split(world);

  traffic = {};
  std::vector<float> floats(10);
  std::vector<double> doubles(3);
  world.sum(std::span(floats));
  world.start_sum(std::span(doubles)).wait();
  world.split(0, 0).maximum(std::span(doubles));
  world.reduce_scatter(std::span(floats));
  world.all_gather(std::span(floats));
  world.all_gather(std::span(doubles));
  CHECK(traffic.sum.calls == 2);
  CHECK(traffic.sum.bytes == 64);
  CHECK(traffic.maximum.calls == 1);
  CHECK(traffic.maximum.bytes == 24);
  CHECK(traffic.reduce_scatter.bytes == 40);
  CHECK(traffic.all_gather.calls == 2);
  CHECK(traffic.all_gather.bytes == 64);
  CHECK(traffic.bytes_sent(1) == 0);
  CHECK(traffic.bytes_sent(4) == 0.75 * (2 * 64 + 2 * 24 + 40 + 64));
}
