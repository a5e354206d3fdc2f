#pragma once

#include <linformer/text/tokenizer.hpp>

namespace linformer::inline LINFORMER_ABI {

/// A token a byte: ids 0 to 4 are the special tokens, byte b is 5 + b. Needs no vocabulary, and decode(encode(x)) = x
/// for any bytes.
class ByteTokenizer {
 public:
  /// Id of byte 0.
  static constexpr TokenId first_byte = 5;

  [[nodiscard]] static constexpr Index vocabulary_size() noexcept { return first_byte + 256; }
  [[nodiscard]] static constexpr SpecialTokens special_tokens() noexcept { return leading_special_tokens; }

  [[nodiscard]] std::vector<TokenId> encode(std::string_view text) const {
    std::vector<TokenId> tokens;
    tokens.reserve(text.size());
    for (const char letter : text) tokens.push_back(first_byte + static_cast<unsigned char>(letter));
    return tokens;
  }

  /// Special tokens are left out. @throws Error malformed_input on an id beyond the vocabulary
  [[nodiscard]] std::string decode(std::span<const TokenId> tokens) const {
    std::string text;
    text.reserve(tokens.size());
    for (const TokenId token : tokens) {
      detail::require_token(token, vocabulary_size());
      if (token >= first_byte) text += static_cast<char>(static_cast<unsigned char>(token - first_byte));
    }
    return text;
  }
};

static_assert(Tokenizer<ByteTokenizer>);

}  // namespace linformer::inline LINFORMER_ABI
