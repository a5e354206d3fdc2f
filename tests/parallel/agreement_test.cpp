#include <linformer/parallel/agreement.hpp>

#include "support/catch.hpp"
#include "support/thread_world.hpp"

using namespace linformer;

TEST_CASE("processes that have the same agree", "[agreement]") {
  SingleProcess alone;
  require_agreement(alone, "weights", 1);
  run_ranks(3, [](ThreadWorld world) { require_agreement(world, "weights", ~std::uint64_t{0}); });
}

TEST_CASE("every process learns which have something else", "[agreement]") {
  const std::uint64_t bit = GENERATE(std::uint64_t{1}, std::uint64_t{1} << 32, std::uint64_t{1} << 63);
  int told = 0;
  run_ranks(4, [&](ThreadWorld world) {
    try {
      require_agreement(world, "weights", world.rank() % 2 == 0 ? 12345 : 12345 ^ bit);
    } catch (const Error& error) {
      CHECK(error.code() == ErrorCode::ranks_disagree);
      CHECK(error.tensor() == "weights");
      CHECK(error.actual() == "another than rank 0's in rank 1, 3");
      ++told;
    }
  });
  CHECK(told == 4);
}
