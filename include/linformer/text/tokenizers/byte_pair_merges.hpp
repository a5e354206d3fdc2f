#pragma once

#include <linformer/text/tokenizer.hpp>

#include <algorithm>
#include <cstdint>
#include <limits>
#include <vector>

namespace linformer::inline LINFORMER_ABI::detail {

/// A token while pairs are merged.
struct MergeSymbol {
  TokenId token = no_token;
  std::size_t bytes = 0;  ///< 0 once it has gone into the one before it
};

/// Which neighbours merge into which token, and in which order (Sennrich et al. 2016, arXiv 1508.07909). A hash table
/// with open addresses, since its look-ups are most of the work.
class BytePairMerges {
 public:
  static constexpr std::uint32_t none = std::numeric_limits<std::uint32_t>::max();

  struct Merge {
    std::uint64_t pair = empty;
    std::uint32_t rank = none;
    TokenId token = no_token;
  };

  explicit BytePairMerges(std::size_t count = 0) {
    std::size_t size = 16;
    while (size < 2 * count) size *= 2;
    table_.resize(size);
  }

  /// @return false if the pair has a merge already, which then stays. At most as many as said before.
  bool add(TokenId left, TokenId right, std::uint32_t rank, TokenId token) {
    Merge& place = table_[place_of(key(left, right))];
    if (place.pair != empty) return false;
    place = {.pair = key(left, right), .rank = rank, .token = token};
    return true;
  }

  /// The merge of a pair, of rank `none` if there is none.
  [[nodiscard]] const Merge& find(TokenId left, TokenId right) const { return table_[place_of(key(left, right))]; }

 private:
  static constexpr std::uint64_t empty = std::numeric_limits<std::uint64_t>::max();

  static constexpr std::uint64_t key(TokenId left, TokenId right) noexcept {
    return static_cast<std::uint64_t>(static_cast<std::uint32_t>(left)) << 32U | static_cast<std::uint32_t>(right);
  }

  /// Where the pair is, or where it would be.
  [[nodiscard]] std::size_t place_of(std::uint64_t pair) const {
    std::uint64_t hash = pair * 0x9E3779B97F4A7C15ULL;
    hash ^= hash >> 32U;
    std::size_t place = static_cast<std::size_t>(hash) & (table_.size() - 1);
    while (table_[place].pair != pair && table_[place].pair != empty) place = (place + 1) & (table_.size() - 1);
    return place;
  }

  std::vector<Merge> table_;
};

/// Merges the symbols of a word, the pair of least rank first and of those the leftmost, until none is left that
/// merges. O(n²) time for n symbols, little of it: for words.
inline void merge_short(const BytePairMerges& merges, std::vector<MergeSymbol>& symbols,
                        std::vector<BytePairMerges::Merge>& pairs) {
  pairs.clear();
  for (std::size_t i = 1; i < symbols.size(); ++i) pairs.push_back(merges.find(symbols[i - 1].token, symbols[i].token));
  while (!pairs.empty()) {
    const auto least =
        std::min_element(pairs.begin(), pairs.end(), [](const auto& a, const auto& b) { return a.rank < b.rank; });
    if (least->rank == BytePairMerges::none) return;
    const auto at = static_cast<std::size_t>(least - pairs.begin());
    symbols[at].token = least->token;
    symbols[at].bytes += symbols[at + 1].bytes;
    symbols.erase(symbols.begin() + static_cast<std::ptrdiff_t>(at) + 1);
    pairs.erase(least);
    if (at > 0) pairs[at - 1] = merges.find(symbols[at - 1].token, symbols[at].token);
    if (at < pairs.size()) pairs[at] = merges.find(symbols[at].token, symbols[at + 1].token);
  }
}

/// The same in O(n log n).
inline void merge_long(const BytePairMerges& merges, std::vector<MergeSymbol>& symbols) {
  struct Candidate {
    std::uint32_t rank;
    std::size_t at, right;
    TokenId left_token, right_token;  // if either has changed, the candidate is stale
  };
  const auto later = [](const Candidate& a, const Candidate& b) {
    return a.rank != b.rank ? a.rank > b.rank : a.at > b.at;
  };
  const std::size_t size = symbols.size();
  std::vector<std::size_t> before(size), after(size);
  std::vector<Candidate> heap;
  const auto candidate = [&](std::size_t at, std::size_t right) {
    const BytePairMerges::Merge& merge = merges.find(symbols[at].token, symbols[right].token);
    if (merge.rank == BytePairMerges::none) return false;
    heap.push_back({merge.rank, at, right, symbols[at].token, symbols[right].token});
    return true;
  };
  for (std::size_t i = 0; i < size; ++i) {
    before[i] = i - 1;
    after[i] = i + 1;
    if (i + 1 < size) candidate(i, i + 1);
  }
  std::make_heap(heap.begin(), heap.end(), later);
  while (!heap.empty()) {
    std::pop_heap(heap.begin(), heap.end(), later);
    const Candidate best = heap.back();
    heap.pop_back();
    MergeSymbol &left = symbols[best.at], &right = symbols[best.right];
    const bool stale = left.bytes == 0 || right.bytes == 0 || after[best.at] != best.right ||
                       left.token != best.left_token || right.token != best.right_token;
    if (stale) continue;
    left.token = merges.find(left.token, right.token).token;
    left.bytes += right.bytes;
    right.bytes = 0;
    after[best.at] = after[best.right];
    if (after[best.at] < size) before[after[best.at]] = best.at;
    const auto push = [&](std::size_t at, std::size_t next) {
      if (candidate(at, next)) std::push_heap(heap.begin(), heap.end(), later);
    };
    if (best.at > 0) push(before[best.at], best.at);
    if (after[best.at] < size) push(best.at, after[best.at]);
  }
  std::erase_if(symbols, [](const MergeSymbol& symbol) { return symbol.bytes == 0; });
}

}  // namespace linformer::inline LINFORMER_ABI::detail
