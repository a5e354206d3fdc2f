#include <linformer/train/sample_order.hpp>

#include "support/catch.hpp"

#include <cmath>
#include <map>

using namespace linformer;

namespace {

using Batches = std::vector<std::vector<Index>>;

Batches all(const EpochBatches& batches) {
  Batches result;
  for (Index i = 0; i < batches.batches(); ++i) {
    const auto batch = batches.batch(i);
    result.emplace_back(batch.begin(), batch.end());
  }
  return result;
}

/// Lengths between 1 and 97, in no order.
std::vector<Index> some_lengths(Index count) {
  std::vector<Index> lengths;
  for (Index i = 0; i < count; ++i) lengths.push_back(1 + i * i % 97);
  return lengths;
}

bool is_permutation_of_all(std::vector<Index> order, Index count) {
  std::sort(order.begin(), order.end());
  for (Index i = 0; i < count; ++i) {
    if (static_cast<Index>(order.size()) != count || order[static_cast<std::size_t>(i)] != i) return false;
  }
  return true;
}

}  // namespace

TEST_CASE("a random order holds every number once", "[sample_order]") {
  for (const Index count : {0, 1, 2, 3, 4, 5, 31, 32, 33, 1000, 4097}) {
    for (std::uint64_t seed = 0; seed < 5; ++seed) {
      CAPTURE(count, seed);
      const auto order = random_order(RandomStream(seed), count);
      CHECK(order.size() == static_cast<std::size_t>(count));
      CHECK(is_permutation_of_all(order, count));
      CHECK(order == random_order(RandomStream(seed), count));
    }
  }
  CHECK(random_order(RandomStream(1), 1000) != random_order(RandomStream(2), 1000));
}

TEST_CASE("all orders of four come equally often", "[sample_order]") {
  std::map<std::vector<Index>, int> counts;
  const int draws = 24000;
  for (std::uint64_t seed = 0; seed < draws; ++seed) ++counts[random_order(RandomStream(seed), 4)];
  CHECK(counts.size() == 24);
  // Binomial of mean 1000; five standard deviations.
  for (const auto& [order, count] : counts) CHECK(std::abs(count - 1000) <= 5 * std::sqrt(1000 * 23.0 / 24));
}

TEST_CASE("every epoch has every sample once, within its budgets", "[sample_order]") {
  const auto lengths = some_lengths(501);
  for (const Index samples : {1, 7, 600}) {
    for (const Index tokens : {0, 97, 300}) {
      for (const Index window : {0, 10, 500, 10000}) {
        CAPTURE(samples, tokens, window);
        std::vector<Index> seen;
        for (const auto& batch :
             all(EpochBatches(1, 2, lengths, {.samples = samples, .tokens = tokens, .window = window}))) {
          Index sum = 0;
          for (const Index sample : batch) sum += lengths[static_cast<std::size_t>(sample)];
          CHECK_FALSE(batch.empty());
          CHECK(static_cast<Index>(batch.size()) <= samples);
          CHECK((tokens == 0 || sum <= tokens));
          seen.insert(seen.end(), batch.begin(), batch.end());
        }
        CHECK(is_permutation_of_all(seen, 501));
      }
    }
  }
}

TEST_CASE("batches take what the budgets allow, in order", "[sample_order]") {
  const std::vector<Index> lengths{3, 4, 2, 9, 1, 1, 1, 5, 0};
  const auto batches = [&](Index samples, Index tokens, Index window) {
    return all(EpochBatches(1, 1, lengths, {samples, tokens, window, false}));
  };
  CHECK(batches(2, 0, 0) == Batches{{0, 1}, {2, 3}, {4, 5}, {6, 7}, {8}});
  CHECK(batches(9, 0, 0) == Batches{{0, 1, 2, 3, 4, 5, 6, 7, 8}});
  CHECK(batches(9, 7, 0) == Batches{{0, 1}, {2}, {3}, {4, 5, 6}, {7, 8}});  // sample 3 is longer than the budget
  CHECK(batches(2, 7, 0) == Batches{{0, 1}, {2}, {3}, {4, 5}, {6, 7}, {8}});
  // Windows of four: {3, 4, 2, 9} and {1, 1, 1, 5}, each sorted; equal lengths keep their order.
  CHECK(batches(4, 0, 4) == Batches{{2, 0, 1, 3}, {4, 5, 6, 7}, {8}});
  CHECK(batches(3, 0, 1) == Batches{{0, 1, 2}, {3, 4, 5}, {6, 7, 8}});
  CHECK(batches(3, 0, 100) == Batches{{8, 4, 5}, {6, 2, 0}, {1, 7, 3}});
  CHECK(EpochBatches(1, 1, {}, {}).batches() == 0);
}

TEST_CASE("windows make the samples of a batch alike", "[sample_order]") {
  const auto lengths = some_lengths(2000);
  const auto spread = [&](Index window) {
    double sum = 0;
    const auto batches = all(EpochBatches(3, 0, lengths, {.samples = 10, .window = window}));
    for (const auto& batch : batches) {
      Index least = 1000, most = 0;
      for (const Index sample : batch) {
        least = std::min(least, lengths[static_cast<std::size_t>(sample)]);
        most = std::max(most, lengths[static_cast<std::size_t>(sample)]);
      }
      sum += static_cast<double>(most - least);
    }
    return sum / static_cast<double>(batches.size());
  };
  // Ten of some hundred lengths span most of their range; a tenth of a window of 100 spans about a tenth.
  CHECK(spread(0) > 60);
  CHECK(spread(100) < 20);
}

TEST_CASE("the order is a function of seed and epoch, and batches come shuffled", "[sample_order]") {
  const auto lengths = some_lengths(300);
  const BatchingConfig config{.samples = 8, .tokens = 400, .window = 300};
  const auto order = [&](std::uint64_t seed, std::uint64_t epoch) {
    return all(EpochBatches(seed, epoch, lengths, config));
  };
  const Batches first = order(1, 2);
  CHECK(order(1, 2) == first);
  CHECK(order(2, 2) != first);
  CHECK(order(1, 3) != first);
  CHECK(order(2, 1) != first);
  // One window over all: cut from short to long, were the batches not shuffled.
  std::vector<Index> leading;
  for (const auto& batch : first) leading.push_back(lengths[static_cast<std::size_t>(batch.front())]);
  CHECK_FALSE(std::is_sorted(leading.begin(), leading.end()));
}

TEST_CASE("any batch of any epoch is found by index alone", "[sample_order]") {
  const auto lengths = some_lengths(100);
  const BatchingConfig config{.samples = 8, .tokens = 300, .window = 32};
  SampleOrder order(9, lengths, config);
  for (const std::uint64_t epoch : {0U, 5U, 5U, 1U, 0U}) {
    const EpochBatches expected(9, epoch, lengths, config);
    CHECK(order.epoch(epoch).batches() == expected.batches());
    for (Index i = expected.batches(); i-- > 0;) {
      const auto batch = order.batch(epoch, i), wanted = expected.batch(i);
      CHECK(std::equal(batch.begin(), batch.end(), wanted.begin(), wanted.end()));
    }
  }
}

TEST_CASE("copies of an order do not share what they hold", "[sample_order]") {
  SampleOrder order(9, some_lengths(50), {.samples = 8});
  SampleOrder copy = order;
  const Batches first = all(copy.epoch(0));
  static_cast<void>(order.epoch(3));
  CHECK(all(copy.epoch(0)) == first);
}

TEST_CASE("impossible budgets, lengths and indices are errors", "[sample_order]") {
  const auto fails = [](const std::vector<Index>& lengths, const BatchingConfig& config) {
    try {
      const EpochBatches batches(1, 1, lengths, config);
    } catch (const Error& error) {
      return error.tensor();
    }
    return std::string();
  };
  CHECK(fails({1, 2}, {}).empty());
  CHECK(fails({1, 2}, {.samples = 0}) == "samples");
  CHECK(fails({1, 2}, {.tokens = -1}) == "tokens");
  CHECK(fails({1, 2}, {.window = -1}) == "window");
  CHECK(fails({1, -2}, {}) == "length of sample 1");
  const EpochBatches batches(1, 1, std::vector<Index>{1, 2}, {.samples = 1});
  CHECK_NOTHROW(batches.batch(1));
  for (const Index i : {-1, 2}) CHECK_THROWS_AS(batches.batch(i), Error);
}

// From a separate implementation in Python integers. A change here changes every training run: never regenerate them to
// make a failure go away.
TEST_CASE("golden orders", "[sample_order]") {
  CHECK(random_order(RandomStream(42), 12) == std::vector<Index>{0, 10, 6, 7, 9, 1, 8, 11, 2, 5, 3, 4});
  CHECK(all(EpochBatches(42, 3, std::vector<Index>(10, 1), {.samples = 3})) ==
        Batches{{6, 2, 7}, {3, 9, 8}, {4}, {1, 0, 5}});
}
