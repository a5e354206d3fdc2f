#pragma once

#include <linformer/text/tokenizer.hpp>

#include <algorithm>
#include <string>

namespace linformer::inline LINFORMER_ABI {

/// What happens to a text that does not fit the length.
enum class OnTooLong {
  truncate,  ///< its end is dropped; of a pair, token by token from the longer text, from the second if they are equal
  windows,   ///< it is cut into several sequences; of a pair, the second text is, and each window repeats the first
};

struct EncodeConfig {
  Index length = 512;  ///< most tokens of a sequence, special ones included
  OnTooLong on_too_long = OnTooLong::truncate;
  Index stride = 0;  ///< tokens from one window's start to the next one's; 0, or more than a window: no overlap
};

/// A text, or a pair of texts, as sequences of tokens.
struct EncodedText {
  std::vector<std::vector<TokenId>> sequences;  ///< one; of a text cut into windows, one or more
  Index dropped_first = 0, dropped_second = 0;  ///< tokens of either text that no sequence holds
  /// Position in every sequence from which tokens belong to the second text and its eos, of type 1 where a model tells
  /// types apart, as BERT does; 0 where there is no second text.
  Index second_begins = 0;

  [[nodiscard]] Index dropped() const noexcept { return dropped_first + dropped_second; }
};

namespace detail {

using Tokens = std::span<const TokenId>;

inline void append_special(TokenId token, std::vector<TokenId>& sequence) {
  if (token != no_token) sequence.push_back(token);
}

/// Tokens left for text beside the special ones. @throws Error invalid_configuration if they are fewer than `least`
inline Index room_for_text(const EncodeConfig& config, Index special, Index least) {
  require(
      config.length >= special + least, ErrorCode::invalid_configuration, "length",
      [&] { return "at least " + std::to_string(special + least); }, [&] { return std::to_string(config.length); });
  return config.length - special;
}

/// Calls take(window) for windows of `size` tokens that begin `stride` apart and cover all; the last may be shorter.
template <class Take>
void for_each_window(Tokens tokens, Index size, Index stride, const Take& take) {
  require(
      stride >= 0, ErrorCode::invalid_configuration, "stride", [] { return std::string("at least 0"); },
      [&] { return std::to_string(stride); });
  const auto width = static_cast<std::size_t>(size);
  const auto step = static_cast<std::size_t>(stride == 0 ? size : std::min(stride, size));
  std::size_t start = 0;
  for (; start + width < tokens.size(); start += step) take(tokens.subspan(start, width));
  take(tokens.subspan(start));
}

}  // namespace detail

/// <s> A </s>. Special tokens that a tokenizer has not are left out.
/// @throws Error invalid_configuration on a length without room for text, or a negative stride
[[nodiscard]] inline EncodedText frame_tokens(std::span<const TokenId> text, const SpecialTokens& special,
                                              const EncodeConfig& config) {
  const Index room = detail::room_for_text(config, Index{special.bos != no_token} + (special.eos != no_token), 1);
  EncodedText encoded;
  const auto frame = [&](detail::Tokens part) {
    std::vector<TokenId>& sequence = encoded.sequences.emplace_back();
    detail::append_special(special.bos, sequence);
    sequence.insert(sequence.end(), part.begin(), part.end());
    detail::append_special(special.eos, sequence);
  };
  if (config.on_too_long == OnTooLong::windows) {
    detail::for_each_window(text, room, config.stride, frame);
  } else {
    const auto kept = std::min(text.size(), static_cast<std::size_t>(room));
    encoded.dropped_first = static_cast<Index>(text.size() - kept);
    frame(text.first(kept));
  }
  return encoded;
}

/// <s> A </s></s> B </s>, as RoBERTa joins a pair (Liu et al. 2019, arXiv 1907.11692), or with `special.separators`
/// other than two: BERT has [CLS] A [SEP] B [SEP] (Devlin et al. 2018, arXiv 1810.04805). Windows run over B; of an A
/// that would leave B less than half of the room, the end is dropped.
/// @throws Error invalid_configuration as above, and without an eos, which alone tells A from B, or a separator
[[nodiscard]] inline EncodedText frame_pair(std::span<const TokenId> first, std::span<const TokenId> second,
                                            const SpecialTokens& special, const EncodeConfig& config) {
  detail::require(special.eos != no_token, ErrorCode::invalid_configuration, "eos", "a token that divides a pair",
                  "none");
  detail::require(
      special.separators > 0, ErrorCode::invalid_configuration, "separators", [] { return std::string("at least 1"); },
      [&] { return std::to_string(special.separators); });
  const Index before = Index{special.bos != no_token}, between = special.separators;
  const Index room = detail::room_for_text(config, before + between + 1, 2);
  const auto a = static_cast<Index>(first.size()), b = static_cast<Index>(second.size());
  // One at a time from the longer: both end at half of the room, or the shorter one stays whole.
  const Index kept_a = std::min(a, std::max((room + 1) / 2, room - b)), left = room - kept_a;
  EncodedText encoded{.sequences = {}, .dropped_first = a - kept_a, .second_begins = before + kept_a + between};
  const auto frame = [&](detail::Tokens part) {
    std::vector<TokenId>& sequence = encoded.sequences.emplace_back();
    detail::append_special(special.bos, sequence);
    sequence.insert(sequence.end(), first.begin(), first.begin() + kept_a);
    sequence.insert(sequence.end(), static_cast<std::size_t>(between), special.eos);
    sequence.insert(sequence.end(), part.begin(), part.end());
    sequence.push_back(special.eos);
  };
  if (config.on_too_long == OnTooLong::windows) {
    detail::for_each_window(second, left, config.stride, frame);
  } else {
    const Index kept_b = std::min(b, left);
    encoded.dropped_second = b - kept_b;
    frame(second.first(static_cast<std::size_t>(kept_b)));
  }
  return encoded;
}

/// A text as sequences of at most `config.length` tokens.
template <Tokenizer T>
[[nodiscard]] EncodedText encode_text(const T& tokenizer, std::string_view text, const EncodeConfig& config = {}) {
  return frame_tokens(tokenizer.encode(text), tokenizer.special_tokens(), config);
}

/// A pair of texts likewise.
template <Tokenizer T>
[[nodiscard]] EncodedText encode_pair(const T& tokenizer, std::string_view first, std::string_view second,
                                      const EncodeConfig& config = {}) {
  return frame_pair(tokenizer.encode(first), tokenizer.encode(second), tokenizer.special_tokens(), config);
}

}  // namespace linformer::inline LINFORMER_ABI
