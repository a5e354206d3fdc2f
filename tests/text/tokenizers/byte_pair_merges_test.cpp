#include <linformer/text/tokenizers/byte_pair_merges.hpp>

#include <linformer/core/random.hpp>

#include "support/catch.hpp"

#include <map>
#include <utility>
#include <vector>

using namespace linformer;
using namespace linformer::detail;

namespace {

using Rule = std::pair<std::uint32_t, TokenId>;  // rank, token

/// By the definition: the pair of least rank, of those the leftmost, merges; again until none is left.
std::vector<std::pair<TokenId, std::size_t>> merged(const std::map<std::pair<TokenId, TokenId>, Rule>& rules,
                                                    const std::vector<TokenId>& tokens) {
  std::vector<std::pair<TokenId, std::size_t>> word;
  for (const TokenId token : tokens) word.emplace_back(token, 1);
  for (;;) {
    std::size_t best = word.size();
    Rule rule{BytePairMerges::none, no_token};
    for (std::size_t i = 0; i + 1 < word.size(); ++i) {
      const auto found = rules.find({word[i].first, word[i + 1].first});
      if (found != rules.end() && found->second.first < rule.first) best = i, rule = found->second;
    }
    if (best == word.size()) return word;
    word[best] = {rule.second, word[best].second + word[best + 1].second};
    word.erase(word.begin() + static_cast<std::ptrdiff_t>(best) + 1);
  }
}

}  // namespace

TEST_CASE("both loops merge by rank, then from the left", "[byte_pair_merges]") {
  const RandomStream random(3);
  for (std::uint64_t round = 0; round < 40; ++round) {
    const RandomStream stream = random.derive(round, 0);
    const std::size_t letters = 2 + round % 4;
    std::map<std::pair<TokenId, TokenId>, Rule> rules;
    BytePairMerges merges(30);
    auto next = static_cast<TokenId>(letters);
    for (std::uint32_t i = 0; i < 30; ++i) {
      const auto words = stream.words(i);
      const auto count = static_cast<std::uint32_t>(next);
      const std::pair<TokenId, TokenId> pair(words[0] % count, words[1] % count);
      const std::uint32_t rank = i * 7 % 30;  // ranks in another order than tokens
      const bool added = rules.emplace(pair, Rule{rank, next}).second;
      REQUIRE(merges.add(pair.first, pair.second, rank, next) == added);
      if (added) ++next;
    }
    for (std::uint64_t word = 0; word < 20; ++word) {
      std::vector<TokenId> tokens(word * 4);
      for (std::size_t i = 0; i < tokens.size(); ++i) {
        tokens[i] = static_cast<TokenId>(stream.words(100 + word, i)[0] % letters);
      }
      const auto expected = merged(rules, tokens);
      std::vector<MergeSymbol> simple, heap;
      for (const TokenId token : tokens) simple.push_back({token, 1}), heap.push_back({token, 1});
      std::vector<BytePairMerges::Merge> pairs;
      merge_short(merges, simple, pairs);
      merge_long(merges, heap);
      REQUIRE(simple.size() == expected.size());
      REQUIRE(heap.size() == expected.size());
      for (std::size_t i = 0; i < expected.size(); ++i) {
        REQUIRE(std::pair(simple[i].token, simple[i].bytes) == expected[i]);
        REQUIRE(std::pair(heap[i].token, heap[i].bytes) == expected[i]);
      }
    }
  }
}

TEST_CASE("a pair without a merge is told", "[byte_pair_merges]") {
  BytePairMerges merges(1);
  CHECK(merges.find(0, 0).rank == BytePairMerges::none);
  CHECK(merges.add(0, 1, 5, 2));
  CHECK_FALSE(merges.add(0, 1, 6, 3));
  CHECK(merges.find(0, 1).token == 2);
  CHECK(merges.find(1, 0).rank == BytePairMerges::none);
  CHECK(BytePairMerges().find(1, 2).rank == BytePairMerges::none);
}
