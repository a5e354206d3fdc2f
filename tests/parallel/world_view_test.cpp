#include <linformer/parallel/combine.hpp>

#include "support/thread_world.hpp"
#include "support/world_checks.hpp"

using namespace linformer;

TEST_CASE("the ranks of tests are a world", "[thread_world]") {
  for (const Index ranks : {1, 2, 3, 4}) {
    run_ranks(ranks, [](ThreadWorld world) {
      check_collectives<float>(world);
      check_collectives<double>(world);
      check_split(world);
    });
  }
  CHECK_THROWS_AS(run_ranks(3,
                            [](ThreadWorld world) {
                              if (world.rank() == 1) throw std::domain_error("one fails");
                              std::vector<float> values(2);
                              world.sum(std::span(values));
                            }),
                  std::domain_error);
}

TEST_CASE("a view of a world asks the world", "[world_view]") {
  std::vector<float> floats{1, -2};
  std::vector<double> doubles{3};
  const WorldView none;
  CHECK_FALSE(none);
  CHECK(none.rank() == 0);
  CHECK(none.size() == 1);
  none.sum(std::span(floats));
  none.maximum(std::span(doubles));
  CHECK(floats == std::vector<float>{1, -2});
  CHECK(doubles == std::vector<double>{3});
  run_ranks(3, [](ThreadWorld world) {
    const WorldView view = world;
    CHECK(view);
    CHECK(view.rank() == world.rank());
    CHECK(view.size() == 3);
    const auto own = static_cast<float>(world.rank());
    std::vector<float> sums{own, 1}, maxima{-own};
    view.sum(std::span(sums));
    view.maximum(std::span(maxima));
    CHECK(sums == std::vector<float>{3, 3});
    CHECK(maxima == std::vector<float>{0});
    std::vector<double> large{1e300 * own};
    view.sum(std::span(large));
    CHECK(large.front() == 3e300);
    view.maximum(std::span(large));
    CHECK(large.front() == 3e300);
  });
}

// A view, const or not, is copied like any value, and is no world itself.
static_assert(std::copyable<WorldView>);
static_assert(std::constructible_from<WorldView, const WorldView>);
static_assert(std::constructible_from<const WorldView, const WorldView>);
static_assert(!World<WorldView> && !World<const WorldView>);
static_assert(std::constructible_from<WorldView, SingleProcess&>);
static_assert(!std::constructible_from<WorldView, const SingleProcess&>);

TEST_CASE("one collective serves values of many places", "[combine]") {
  run_ranks(3, [](ThreadWorld world) {
    const Index rank = world.rank();
    std::vector<double> values{static_cast<double>(rank), 10};
    std::vector<Index> counts{rank * 5};
    Workspace workspace;
    const auto visit = [&](const auto& f) {
      f(std::span(values));
      f(std::span(counts));
    };
    detail::combine_sums<double>(world, visit, workspace);
    CHECK(values == std::vector<double>{3, 30});
    CHECK(counts == std::vector<Index>{15});
    counts = {rank};
    detail::combine_maxima<double>(world, visit, workspace);
    CHECK(counts == std::vector<Index>{2});
    // Marked on ranks 1 and 2, on rank 2, on none, on all.
    std::vector<float> marks{rank > 0 ? 1.0F : 0, rank == 2 ? 7.0F : 0, 0, 1};
    detail::keep_first_marks<float>(world, marks);
    CHECK(marks == std::vector<float>{rank == 1 ? 1.0F : 0, rank == 2 ? 1.0F : 0, 0, rank == 0 ? 1.0F : 0});
  });
}
