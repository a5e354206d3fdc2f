#include <linformer/train/bucket_exchange.hpp>
#include <linformer/train/shard.hpp>

#include "support/catch.hpp"
#include "support/thread_world.hpp"
#include "train/two_parameters.hpp"

using namespace linformer;

namespace {

/// Eight values: whole numbers, whose sums are exact.
TwoParameters<double> numbers_of(Index rank) {
  TwoParameters<double> module{Matrix<double>(2, 3), Vector<double>(2)};
  double next = static_cast<double>(100 * rank);
  module.for_each_parameter([&](const std::string&, Shape, std::span<double> values) {
    for (double& value : values) value = next++;
  });
  return module;
}

std::vector<double> numbers_in(const FlatValues<double>& flat) {
  std::vector<double> values(static_cast<std::size_t>(flat.size()));
  flat.copy_to({0, flat.size()}, values.data());
  return values;
}

}  // namespace

TEST_CASE("values are exchanged in buckets of any size", "[bucket_exchange]") {
  const Index ranks = GENERATE(Index{1}, Index{2}, Index{3}), bucket = GENERATE(Index{1}, Index{3}, Index{100});
  CAPTURE(ranks, bucket);
  std::vector<double> sums;
  for (Index i = 0; i < 8; ++i) sums.push_back(static_cast<double>(ranks * i + 50 * ranks * (ranks - 1)));
  std::vector<int> owners(8, 0);
  run_ranks(ranks, [&](ThreadWorld world) {
    BucketExchange<double, ThreadWorld> exchange(world, 8, bucket);

    // This process's values are summed, the others stay; then all get them from their owners.
    TwoParameters<double> module = numbers_of(world.rank());
    FlatValues<double> flat;
    flat.assign(module);
    std::vector<double> expected = numbers_in(flat), own_values;
    const std::vector<Part> own = exchange.own_parts();
    for (const Part& part : own) {
      for (Index i = part.begin; i < part.end; ++i) {
        const auto at = static_cast<std::size_t>(i);
        ++owners[at];
        expected[at] = sums[at];
      }
    }
    exchange.reduce_scatter(flat);
    CHECK(numbers_in(flat) == expected);
    exchange.all_gather(flat);
    CHECK(numbers_in(flat) == sums);

    // What each has of its own is put together in the first process.
    const Shard<const TwoParameters<double>> shard(module, own);
    FlatValues<const double> theirs;
    theirs.assign(shard);
    TwoParameters<double> whole = numbers_of(0);
    FlatValues<double> all;
    all.assign(whole);
    const std::vector<double> untouched = numbers_in(all);
    exchange.gather(theirs, 0, world.rank() == 0 ? &all : nullptr, 0);
    CHECK(numbers_in(all) == (world.rank() == 0 ? sums : untouched));
  });
  CHECK(owners == std::vector<int>(8, 1));
}

TEST_CASE("a bucket has room for a value", "[bucket_exchange]") {
  CHECK_THROWS_AS((BucketExchange<float, SingleProcess>({}, 8, 0)), Error);
}
