#pragma once

#include <linformer/core/random.hpp>
#include <linformer/text/listops.hpp>

#include <set>

namespace linformer::inline LINFORMER_ABI {

/// What expressions are drawn. The defaults are those of the Long Range Arena (Tay et al. 2020, arXiv 2011.04006).
struct ListOpsConfig {
  std::uint64_t seed = 0;
  Index max_depth = 10;      ///< at this depth, counted from 1, stand digits alone
  Index max_arguments = 10;  ///< an operator has 2 or more
  Index min_length = 500;    ///< an expression has more tokens than this …
  Index max_length = 2000;   ///< … and fewer than this
};

struct ListOpsSample {
  std::vector<TokenId> tokens;  ///< as ListOpsTokenizer has them
  int label = 0;                ///< value of the expression
  Index index = 0;              ///< which sample of the seed it is
  Index attempts = 0;           ///< trees drawn until one had a length in range
};

namespace detail {

/// floor(word · n / 2^32): uniform in 0 … n − 1, but for n / 2^32.
constexpr Index uniform_below(std::uint32_t word, Index n) noexcept {
  return static_cast<Index>((std::uint64_t{word} * static_cast<std::uint64_t>(n)) >> 32);
}

/// Draws one tree. Node j, in the order of the text, has the words at address j: the first says whether it is an
/// operator (above max_depth, with probability 1/4), the second which digit or how many arguments, the third which
/// operator. @return whether the length is in range; where it is too great, drawing stops
inline bool draw_listops_tree(const RandomStream& stream, const ListOpsConfig& config, std::vector<TokenId>& tokens) {
  tokens.clear();
  std::vector<Index> missing;  // arguments, of every operator that is open
  for (std::uint64_t node = 0; static_cast<Index>(tokens.size() + missing.size()) < config.max_length; ++node) {
    const auto words = stream.words(node);
    if (static_cast<Index>(missing.size()) + 1 < config.max_depth && words[0] < std::uint32_t{1} << 30) {
      missing.push_back(2 + uniform_below(words[1], config.max_arguments - 1));
      tokens.push_back(listops_min + static_cast<TokenId>(uniform_below(words[2], 4)));
      continue;
    }
    tokens.push_back(static_cast<TokenId>(uniform_below(words[1], 10)));
    while (!missing.empty() && --missing.back() == 0) {
      tokens.push_back(listops_close);
      missing.pop_back();
    }
    if (missing.empty()) {
      const auto length = static_cast<Index>(tokens.size());
      return length > config.min_length && length < config.max_length;
    }
  }
  return false;
}

inline constexpr Index listops_most_attempts = 1'000'000;

inline void require_listops_found(bool found) {
  require(found, ErrorCode::invalid_configuration, "ListOpsConfig", "lengths that trees of this depth have",
          "none of them in a million attempts");
}

}  // namespace detail

/// Sample `index` of a seed: a function of the configuration and the index alone. The tree is drawn as the Long Range
/// Arena draws it and thrown away until its length is in range: of the default, about one in twelve is.
/// @throws Error invalid_configuration if a size is out of range, or no length in range comes up in a million attempts
[[nodiscard]] inline ListOpsSample listops_sample(const ListOpsConfig& config, Index index) {
  detail::require(config.max_depth >= 1, ErrorCode::invalid_configuration, "max_depth", "at least 1",
                  std::to_string(config.max_depth));
  detail::require(config.max_arguments >= 2, ErrorCode::invalid_configuration, "max_arguments", "at least 2",
                  std::to_string(config.max_arguments));
  const RandomStream stream = RandomStream(config.seed).derive("listops");
  ListOpsSample sample{.tokens = {}, .label = 0, .index = index, .attempts = 0};
  bool found = false;
  while (!found && sample.attempts < detail::listops_most_attempts) {
    const RandomStream attempt =
        stream.derive(static_cast<std::uint64_t>(index), static_cast<std::uint64_t>(sample.attempts++));
    found = detail::draw_listops_tree(attempt, config, sample.tokens);
  }
  detail::require_listops_found(found);
  sample.label = evaluate_listops(sample.tokens);
  return sample;
}

/// The first `count` distinct expressions among samples 0, 1, 2, … of a seed: a longer list begins with the shorter.
/// The Long Range Arena has 100,000, of which 96,000 train, 2,000 validate and 2,000 test; in memory, about 0.5 GB.
/// @throws Error invalid_configuration as above, or if a million samples in a row bring nothing new
[[nodiscard]] inline std::vector<ListOpsSample> listops_samples(const ListOpsConfig& config, Index count) {
  std::vector<ListOpsSample> samples;
  const auto before = [&](std::size_t a, std::size_t b) { return samples[a].tokens < samples[b].tokens; };
  std::set<std::size_t, decltype(before)> distinct(before);
  Index known = 0;
  for (Index index = 0; static_cast<Index>(samples.size()) < count; ++index) {
    samples.push_back(listops_sample(config, index));
    if (distinct.insert(samples.size() - 1).second) {
      known = 0;
      continue;
    }
    samples.pop_back();
    detail::require_listops_found(++known < detail::listops_most_attempts);
  }
  return samples;
}

}  // namespace linformer::inline LINFORMER_ABI
