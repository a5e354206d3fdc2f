#include <linformer/core/uniform_below.hpp>

#include "support/catch.hpp"

#include <array>
#include <cmath>

using namespace linformer;

TEST_CASE("a number below n is the floor of a product of 96 bits", "[uniform_below]") {
  __extension__ using Wide = unsigned __int128;
  const RandomStream stream(5);
  for (const std::uint64_t n : {std::uint64_t{1}, std::uint64_t{2}, std::uint64_t{3}, std::uint64_t{30522},
                                std::uint64_t{4294967295}, std::uint64_t{4294967296}}) {
    CAPTURE(n);
    CHECK(uniform_below(0, 0, n) == 0);
    CHECK(uniform_below(0xFFFFFFFF, 0xFFFFFFFF, n) == n - 1);
    for (std::uint64_t i = 0; i < 100; ++i) {
      const auto words = stream.words(i);
      const std::uint64_t word = std::uint64_t{words[0]} << 32 | words[1];
      CHECK(uniform_below(words[0], words[1], n) == static_cast<std::uint64_t>(Wide{word} * n >> 64));
    }
  }
}

TEST_CASE("numbers below n come equally often", "[uniform_below]") {
  const RandomStream stream(6);
  std::array<int, 7> counts{};
  const int draws = 70000;
  for (std::uint64_t i = 0; i < draws; ++i) {
    const auto words = stream.words(i);
    ++counts[uniform_below(words[0], words[1], counts.size())];
  }
  // Each count is binomial; five standard deviations.
  const double p = 1.0 / 7;
  for (const int count : counts) CHECK(std::abs(count - draws * p) <= 5 * std::sqrt(draws * p * (1 - p)));
}
