#include "support/world_checks.hpp"

TEST_CASE("one process is a world", "[world]") {
  check_collectives<float>(linformer::SingleProcess());
  check_collectives<double>(linformer::SingleProcess());
  check_split(linformer::SingleProcess());
}
