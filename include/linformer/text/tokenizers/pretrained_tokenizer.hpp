#pragma once

// The component linformer::tokenizers: needs utf8proc.

#include <linformer/text/tokenizers/byte_level_bpe_tokenizer.hpp>
#include <linformer/text/tokenizers/wordpiece_tokenizer.hpp>

#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace linformer::inline LINFORMER_ABI {

/// The tokenizer of a pretrained model, of the kind that its files say.
class PretrainedTokenizer {
 public:
  using Kinds = std::variant<WordPieceTokenizer, ByteLevelBpeTokenizer>;

  explicit PretrainedTokenizer(Kinds tokenizer) : tokenizer_(std::move(tokenizer)) {}

  [[nodiscard]] std::vector<TokenId> encode(std::string_view text) const {
    return std::visit([&](const auto& each) { return each.encode(text); }, tokenizer_);
  }
  [[nodiscard]] TokensWithOffsets encode_with_offsets(std::string_view text) const {
    return std::visit([&](const auto& each) { return each.encode_with_offsets(text); }, tokenizer_);
  }
  [[nodiscard]] std::string decode(std::span<const TokenId> tokens) const {
    return std::visit([&](const auto& each) { return each.decode(tokens); }, tokenizer_);
  }
  [[nodiscard]] std::string piece(TokenId token) const {
    return std::visit([&](const auto& each) { return each.piece(token); }, tokenizer_);
  }
  [[nodiscard]] Index vocabulary_size() const {
    return std::visit([](const auto& each) { return each.vocabulary_size(); }, tokenizer_);
  }
  [[nodiscard]] const SpecialTokens& special_tokens() const {
    return std::visit([](const auto& each) -> const SpecialTokens& { return each.special_tokens(); }, tokenizer_);
  }

  /// The tokenizer itself, for what one kind alone can do.
  [[nodiscard]] const Kinds& kind() const noexcept { return tokenizer_; }

 private:
  Kinds tokenizer_;
};

static_assert(Tokenizer<PretrainedTokenizer>);

/// What a program chooses, whatever a tokenizer's files say.
struct PretrainedTokenizerOptions {
  /// Whether "[MASK]" or "</s>" in a text is the special token, as Hugging Face takes it; else it is text like any
  /// other.
  bool special_tokens_in_text = false;
};

}  // namespace linformer::inline LINFORMER_ABI
