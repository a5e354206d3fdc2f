#pragma once

// The component linformer::sentencepiece.

#include <linformer/text/sentencepiece_tokenizer.hpp>

namespace linformer::inline LINFORMER_ABI {

/// XLM-R's tokenizer (Conneau et al. 2020, arXiv 1911.02116): a SentencePiece model whose pieces have the ids of
/// fairseq, <s> 0, <pad> 1, </s> 2, <unk> 3, piece p of the model p + 1, <mask> behind them. Special tokens in a text
/// are text.
class XlmRobertaTokenizer {
 public:
  /// Reads sentencepiece.bpe.model. @throws Error file_access; malformed_input if the file is no model with the ids
  /// <unk> 0, <s> 1, </s> 2
  explicit XlmRobertaTokenizer(const std::filesystem::path& model)
      : XlmRobertaTokenizer(read_file(model), model.string()) {}

  /// A model from the bytes of its file, called `name` in errors.
  XlmRobertaTokenizer(std::string_view bytes, const std::string& name) : model_(bytes, name) {
    const auto [bos, pad, eos, unknown, mask, separators] = model_.special_tokens();
    if (unknown == 0 && bos == 1 && eos == 2) return;
    throw Error(ErrorCode::malformed_input, name, "a model with <unk> 0, <s> 1 and </s> 2",
                std::to_string(unknown) + ", " + std::to_string(bos) + " and " + std::to_string(eos));
  }

  [[nodiscard]] Index vocabulary_size() const {
    return model_.vocabulary_size() + 2;
  }  // <pad> and <mask> are no pieces
  [[nodiscard]] SpecialTokens special_tokens() const {
    return {.bos = 0, .pad = 1, .eos = 2, .unknown = 3, .mask = static_cast<TokenId>(model_.vocabulary_size()) + 1};
  }

  /// @throws Error malformed_input if the library refuses the text
  [[nodiscard]] std::vector<TokenId> encode(std::string_view text) const {
    std::vector<TokenId> tokens = model_.encode(text);
    for (TokenId& token : tokens) token = token == 0 ? 3 : token + 1;
    return tokens;
  }

  /// The normalised text, without special tokens, <unk> as the model shows it.
  /// @throws Error malformed_input on an id beyond the vocabulary
  [[nodiscard]] std::string decode(std::span<const TokenId> tokens) const {
    const SpecialTokens special = special_tokens();
    std::vector<TokenId> pieces;
    for (const TokenId token : tokens) {
      detail::require_token(token, vocabulary_size());
      if (token >= special.unknown && token != special.mask) pieces.push_back(token == special.unknown ? 0 : token - 1);
    }
    return model_.decode(pieces);
  }

 private:
  SentencePieceTokenizer model_;
};

static_assert(Tokenizer<XlmRobertaTokenizer>);

}  // namespace linformer::inline LINFORMER_ABI
