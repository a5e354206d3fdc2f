#pragma once

// The component linformer::tokenizers: needs utf8proc.

#include <linformer/text/tokenizers/added_tokens.hpp>
#include <linformer/text/tokenizers/bert_normalizer.hpp>

#include <filesystem>
#include <memory>

namespace linformer::inline LINFORMER_ABI {

struct WordPieceConfig {
  BertNormalization normalization{};
  std::string continuation = "##";  ///< what a token that goes on a word begins with
  Index longest_word = 100;         ///< code points; a longer word is [UNK]
  SpecialNames special = bert_special_names();
  /// Whether "[MASK]" in a text is the special token, as Hugging Face takes it; else it is text like any other.
  bool special_tokens_in_text = false;
};

/// BERT's tokenizer (Devlin et al. 2018, arXiv 1810.04805): the text is normalised, cut at white space and around
/// punctuation, and each word spelled by the longest tokens from the left; a word that cannot be spelled is [UNK].
/// Text that is not UTF-8 counts as U+FFFD for every maximal subpart. Copies share the vocabulary, and any number of
/// threads may use it.
class WordPieceTokenizer {
 public:
  /// Reads vocab.txt, a token a line. @throws Error file_access; malformed_input for an empty line, a token that is
  /// there twice, or a special token that is not
  explicit WordPieceTokenizer(const std::filesystem::path& file, WordPieceConfig config = {})
      : WordPieceTokenizer(detail::read_lines(file), std::move(config), file.string()) {}

  /// @param vocabulary tokens by id
  /// @param file its name in errors
  explicit WordPieceTokenizer(std::vector<std::string> vocabulary, WordPieceConfig config = {},
                              const std::string& file = "vocabulary")
      : WordPieceTokenizer(std::move(vocabulary), std::move(config), file, std::nullopt) {}

  /// Likewise with tokens that the vocabulary may hold or not, their ids those of the vocabulary.
  WordPieceTokenizer(std::vector<std::string> vocabulary, WordPieceConfig config, const std::string& file,
                     std::optional<std::vector<AddedToken>> added) {
    detail::require(
        config.longest_word > 0, ErrorCode::invalid_configuration, "longest_word",
        [] { return std::string("at least 1"); }, [&] { return std::to_string(config.longest_word); });
    auto model = std::make_shared<Model>();
    for (std::size_t id = 0; id < vocabulary.size(); ++id) {
      if (!vocabulary[id].empty()) continue;
      throw Error(ErrorCode::malformed_input, file, "a token on every line", "none on line " + std::to_string(id + 1));
    }
    model->words = detail::token_map(vocabulary, file);
    model->special = detail::find_special(config.special, model->words, file);
    detail::require(model->special.unknown != no_token, ErrorCode::malformed_input, file, "a token for unknown words",
                    "none");
    for (std::size_t id = 0; id < vocabulary.size(); ++id) {
      const std::string& token = vocabulary[id];
      model->longest = std::max(model->longest, token.size());
      if (token.starts_with(config.continuation)) {
        model->continuations.emplace(token.substr(config.continuation.size()), static_cast<TokenId>(id));
      }
    }
    if (!added) added = detail::added_tokens(config.special, model->special);
    detail::require_added(*added, vocabulary, file);
    for (const AddedToken& token : *added) {
      if (token.special) model->hidden.push_back(token.id);
      if (!token.outside) continue;
      model->words.erase(token.text);
      if (token.text.starts_with(config.continuation)) {
        model->continuations.erase(token.text.substr(config.continuation.size()));
      }
    }
    std::sort(model->hidden.begin(), model->hidden.end());
    model->added = detail::AddedTokens(*added, config.special_tokens_in_text);
    model->tokens = std::move(vocabulary);
    model->config = std::move(config);
    model_ = std::move(model);
  }

  [[nodiscard]] Index vocabulary_size() const { return static_cast<Index>(model_->tokens.size()); }
  [[nodiscard]] const SpecialTokens& special_tokens() const noexcept { return model_->special; }

  [[nodiscard]] std::vector<TokenId> encode(std::string_view text) const {
    TokensWithOffsets result;
    encode(text, false, result);
    return std::move(result.tokens);
  }

  /// Each token with the part of the text that it spells, without what the normalisation took out at either end.
  [[nodiscard]] TokensWithOffsets encode_with_offsets(std::string_view text) const {
    TokensWithOffsets result;
    encode(text, true, result);
    return result;
  }

  /// Words, a space between them: the normalised text, but for spaces around punctuation.
  /// @throws Error malformed_input on an id beyond the vocabulary
  [[nodiscard]] std::string decode(std::span<const TokenId> tokens) const {
    std::string text;
    bool first = true;
    for (const TokenId id : tokens) {
      detail::require_token(id, vocabulary_size());
      if (std::binary_search(model_->hidden.begin(), model_->hidden.end(), id)) continue;
      std::string_view token = model_->tokens[static_cast<std::size_t>(id)];
      if (!first) {
        if (token.starts_with(model_->config.continuation)) {
          token.remove_prefix(model_->config.continuation.size());
        } else {
          text += ' ';
        }
      }
      first = false;
      text += token;
    }
    return text;
  }

  /// Text of one token as the vocabulary has it.
  [[nodiscard]] std::string piece(TokenId token) const {
    detail::require_token(token, vocabulary_size());
    return model_->tokens[static_cast<std::size_t>(token)];
  }

 private:
  struct Model {
    WordPieceConfig config;
    std::vector<std::string> tokens;
    detail::TokenMap words;          // every token
    detail::TokenMap continuations;  // those that go on a word, without the mark that says so
    std::size_t longest = 0;         // bytes of the longest token
    SpecialTokens special;
    std::vector<TokenId> hidden;  // decode to nothing, sorted
    detail::AddedTokens added;
  };

  void encode(std::string_view text, bool with_offsets, TokensWithOffsets& result) const {
    detail::BertNormalizer normalize(model_->config.normalization, with_offsets);
    result.tokens.reserve(text.size() / 4 + 1);
    model_->added.for_each_part(text, [&](std::size_t begin, std::size_t end, const AddedToken* token) {
      if (token != nullptr) {
        result.tokens.push_back(token->id);
        if (with_offsets) result.offsets.push_back({static_cast<Index>(begin), static_cast<Index>(end)});
        return;
      }
      const detail::NormalizedText& normalized = normalize(text, begin, end);
      detail::for_each_bert_word(normalized.bytes, [&](std::size_t first, std::size_t last) {
        spell(normalized, first, last, with_offsets, result);
      });
    });
  }

  /// Spells the word from byte `begin` to byte `end`.
  void spell(const detail::NormalizedText& text, std::size_t begin, std::size_t end, bool with_offsets,
             TokensWithOffsets& result) const {
    const auto add = [&](TokenId token, std::size_t first, std::size_t last) {
      result.tokens.push_back(token);
      if (with_offsets) result.offsets.push_back({text.origins[first].begin, text.origins[last - 1].end});
    };
    const std::string_view bytes = text.bytes;
    const std::size_t before = result.tokens.size();
    const auto longest_word = static_cast<std::size_t>(model_->config.longest_word);
    bool spelled = end - begin <= longest_word || detail::code_points(bytes.substr(begin, end - begin)) <= longest_word;
    for (std::size_t at = begin; spelled && at < end;) {
      const detail::TokenMap& map = at == begin ? model_->words : model_->continuations;
      std::size_t last = std::min(end, at + model_->longest);
      TokenId token = no_token;
      for (; last > at; --last) {
        if (last < end && detail::is_utf8_trail(bytes[last])) continue;
        token = detail::find_token(map, bytes.substr(at, last - at));
        if (token != no_token) break;
      }
      spelled = token != no_token;
      if (spelled) add(token, at, last);
      at = last;
    }
    if (spelled) return;
    result.tokens.resize(before);
    if (with_offsets) result.offsets.resize(before);
    add(model_->special.unknown, begin, end);
  }

  std::shared_ptr<const Model> model_;
};

static_assert(Tokenizer<WordPieceTokenizer>);

}  // namespace linformer::inline LINFORMER_ABI
