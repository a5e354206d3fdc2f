#pragma once

#include <linformer/core/error.hpp>

#include <concepts>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace linformer::inline LINFORMER_ABI {

/// A token's number, 0 … vocabulary size − 1.
using TokenId = std::int32_t;

/// The number of a special token that a tokenizer has not.
inline constexpr TokenId no_token = -1;

/// Tokens that stand for no text, each `no_token` where there is none.
struct SpecialTokens {
  TokenId bos = no_token;      ///< <s>, begins a sequence; the classifier's token
  TokenId pad = no_token;      ///< <pad>; layers never see it, since a padded token does not exist
  TokenId eos = no_token;      ///< </s>, ends a text
  TokenId unknown = no_token;  ///< <unk>, text that the vocabulary cannot spell
  TokenId mask = no_token;     ///< <mask>, hides a token in pretraining
  Index separators = 2;        ///< how many eos divide a pair: RoBERTa's A </s></s> B, BERT's A [SEP] B

  friend bool operator==(const SpecialTokens&, const SpecialTokens&) = default;
};

/// The first ids as our own tokenizers have them. RoBERTa has <mask> at the vocabulary's end.
inline constexpr SpecialTokens leading_special_tokens{.bos = 0, .pad = 1, .eos = 2, .unknown = 3, .mask = 4};

/// Part of a text: bytes begin to end − 1.
struct ByteRange {
  Index begin = 0, end = 0;

  friend bool operator==(const ByteRange&, const ByteRange&) = default;
};

/// Tokens, and which part of the text each stands for.
struct TokensWithOffsets {
  std::vector<TokenId> tokens;
  std::vector<ByteRange> offsets;  ///< as many as tokens
};

/// Text to tokens and back. `encode` adds no special tokens: `encode_text` does; `decode` leaves them out, but for
/// those that a tokenizer spells.
template <class T>
concept Tokenizer = requires(const T& tokenizer, std::string_view text, std::span<const TokenId> tokens) {
  { tokenizer.encode(text) } -> std::same_as<std::vector<TokenId>>;
  { tokenizer.decode(tokens) } -> std::same_as<std::string>;
  { tokenizer.vocabulary_size() } -> std::convertible_to<Index>;
  { tokenizer.special_tokens() } -> std::convertible_to<SpecialTokens>;
};

namespace detail {

/// @throws Error malformed_input unless 0 ≤ token < vocabulary
inline void require_token(TokenId token, Index vocabulary) {
  require(
      token >= 0 && token < vocabulary, ErrorCode::malformed_input, "token",
      [&] { return "an id from 0 to " + std::to_string(vocabulary - 1); }, [&] { return std::to_string(token); });
}

}  // namespace detail

}  // namespace linformer::inline LINFORMER_ABI
