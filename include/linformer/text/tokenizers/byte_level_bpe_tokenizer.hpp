#pragma once

// The component linformer::tokenizers: needs utf8proc.

#include <linformer/text/tokenizers/added_tokens.hpp>
#include <linformer/text/tokenizers/byte_level.hpp>
#include <linformer/text/tokenizers/byte_pair_merges.hpp>

#include <memory>
#include <optional>

namespace linformer::inline LINFORMER_ABI {

struct ByteLevelBpeConfig {
  bool add_prefix_space = false;  ///< puts a space before a text that begins without one
  bool trim_offsets = true;       ///< white space at either end of a token is no part of its offsets
  bool ignore_merges = false;     ///< a piece of text that is a token is that token, whatever merges say
  SpecialNames special = roberta_special_names();
  /// Whether "<mask>" in a text is the special token, as Hugging Face takes it; else it is text like any other.
  bool special_tokens_in_text = false;
};

/// The tokenizer of GPT-2 and RoBERTa (Radford et al. 2019; Liu et al. 2019, arXiv 1907.11692): the text is cut at
/// white space and between letters, digits and the rest, and the bytes of each piece are merged pair by pair. Text that
/// is not UTF-8 counts as U+FFFD for every maximal subpart; any other text decodes to itself, bytes for bytes. Copies
/// share the vocabulary, and any number of threads may use it.
class ByteLevelBpeTokenizer {
 public:
  /// @param file name of the vocabulary in errors
  /// @param merges_file name of its merges
  /// @param added tokens looked for in the text; not set: the special ones
  /// @throws Error malformed_input for a token or merge that is there twice, a byte or special token that is not, and a
  /// merge of tokens, or into one, that the vocabulary has not
  ByteLevelBpeTokenizer(const BytePairVocabulary& vocabulary, ByteLevelBpeConfig config,
                        const std::string& file = "vocabulary", const std::string& merges_file = "merges",
                        std::optional<std::vector<AddedToken>> added = std::nullopt) {
    auto model = std::make_shared<Model>();
    const detail::TokenMap map = detail::token_map(vocabulary.tokens, file);
    model->special = detail::find_special(config.special, map, file);
    for (std::size_t byte = 0; byte < model->bytes.size(); ++byte) {
      std::string symbol;
      detail::append_utf8(detail::byte_symbols[byte], symbol);
      model->bytes[byte] = detail::find_token(map, symbol);
      if (model->bytes[byte] != no_token) continue;
      throw Error(ErrorCode::malformed_input, file, "a token for every byte", "no '" + symbol + "'");
    }
    add_merges(*model, map, vocabulary, merges_file);
    if (!added) {
      added = detail::added_tokens(config.special, model->special);
      for (AddedToken& token : *added) token.strip_left = token.id == model->special.mask;  // as RoBERTa's
    }
    detail::require_added(*added, vocabulary.tokens, file);
    for (const AddedToken& token : *added) {
      if (token.special) model->hidden.push_back(token.id);
    }
    std::sort(model->hidden.begin(), model->hidden.end());
    model->added = detail::AddedTokens(*added, config.special_tokens_in_text);
    model->config = std::move(config);
    model->tokens = vocabulary.tokens;
    for (std::string& token : model->tokens) {
      if (auto bytes = detail::bytes_of_symbols(token)) token = std::move(*bytes);
    }
    std::vector<bool> outside(model->tokens.size());
    for (const AddedToken& token : *added) outside[static_cast<std::size_t>(token.id)] = token.outside;
    add_whole(*model, outside);
    model_ = std::move(model);
  }

  [[nodiscard]] Index vocabulary_size() const { return static_cast<Index>(model_->tokens.size()); }
  [[nodiscard]] const SpecialTokens& special_tokens() const noexcept { return model_->special; }

  [[nodiscard]] std::vector<TokenId> encode(std::string_view text) const {
    TokensWithOffsets result;
    if (first_invalid_utf8(text)) {
      encode(replace_invalid_utf8(text), false, result);
    } else {
      encode(text, false, result);
    }
    return std::move(result.tokens);
  }

  /// Each token with the part of the text that it stands for: whole code points, even where it has some of their bytes.
  [[nodiscard]] TokensWithOffsets encode_with_offsets(std::string_view text) const {
    TokensWithOffsets result;
    if (!first_invalid_utf8(text)) {
      encode(text, true, result);
      return result;
    }
    encode(replace_invalid_utf8(text), true, result);
    const std::vector<Index> places = detail::places_before_replacing(text);
    for (auto& [begin, end] : result.offsets) {
      begin = places[static_cast<std::size_t>(begin)];
      end = places[static_cast<std::size_t>(end)];
    }
    return result;
  }

  /// The bytes of the tokens, without special ones. @throws Error malformed_input on an id beyond the vocabulary
  [[nodiscard]] std::string decode(std::span<const TokenId> tokens) const {
    std::string text;
    for (const TokenId id : tokens) {
      detail::require_token(id, vocabulary_size());
      if (std::binary_search(model_->hidden.begin(), model_->hidden.end(), id)) continue;
      text += model_->tokens[static_cast<std::size_t>(id)];
    }
    return text;
  }

  /// Bytes of one token, or the name of a special one.
  [[nodiscard]] std::string piece(TokenId token) const {
    detail::require_token(token, vocabulary_size());
    return model_->tokens[static_cast<std::size_t>(token)];
  }

 private:
  /// Pieces of up to so many bytes are merged by the simple loop.
  static constexpr std::size_t short_piece = 48;

  struct Model {
    ByteLevelBpeConfig config;
    std::vector<std::string> tokens;  // their bytes
    std::array<TokenId, 256> bytes{};
    detail::BytePairMerges merges;
    detail::TokenMap whole;  // tokens that merging their own bytes yields: most pieces of a text are one of them
    SpecialTokens special;
    std::vector<TokenId> hidden;  // decode to nothing, sorted
    detail::AddedTokens added;
  };

  /// Memory of a call.
  struct Scratch {
    std::vector<detail::MergeSymbol> symbols;
    std::vector<detail::BytePairMerges::Merge> pairs;
    std::string prefixed;
  };

  static void add_merges(Model& model, const detail::TokenMap& map, const BytePairVocabulary& vocabulary,
                         const std::string& file) {
    model.merges = detail::BytePairMerges(vocabulary.merges.size());
    std::uint32_t rank = 0;
    for (const auto& [left, right] : vocabulary.merges) {
      const auto fail = [&](std::string expected, std::string actual) {
        throw Error(ErrorCode::malformed_input, file, std::move(expected),
                    std::move(actual) + " in " + vocabulary.place + std::to_string(vocabulary.first + Index{rank}));
      };
      const auto find = [&](const std::string& token) {
        const TokenId id = detail::find_token(map, token);
        if (id == no_token) fail("merges of tokens of the vocabulary", "'" + token + "'");
        return id;
      };
      const TokenId left_id = find(left), right_id = find(right);
      if (!model.merges.add(left_id, right_id, rank, find(left + right))) {
        fail("every merge once", std::string("'").append(left).append(" ").append(right).append("' again"));
      }
      ++rank;
    }
  }

  static void add_whole(Model& model, const std::vector<bool>& outside) {
    Scratch scratch;
    for (std::size_t id = 0; id < model.tokens.size(); ++id) {
      const std::string& bytes = model.tokens[id];
      merge(model, bytes, scratch);
      const bool reached = scratch.symbols.size() == 1 && scratch.symbols.front().token == static_cast<TokenId>(id);
      if (reached || (model.config.ignore_merges && !outside[id])) model.whole.emplace(bytes, static_cast<TokenId>(id));
    }
  }

  static void merge(const Model& model, std::string_view piece, Scratch& scratch) {
    scratch.symbols.clear();
    for (const char byte : piece) scratch.symbols.push_back({model.bytes[static_cast<unsigned char>(byte)], 1});
    if (piece.size() <= short_piece) {
      detail::merge_short(model.merges, scratch.symbols, scratch.pairs);
    } else {
      detail::merge_long(model.merges, scratch.symbols);
    }
  }

  /// @param text UTF-8
  void encode(std::string_view text, bool with_offsets, TokensWithOffsets& result) const {
    Scratch scratch;
    result.tokens.reserve(text.size() / 4 + 1);
    model_->added.for_each_part(text, [&](std::size_t begin, std::size_t end, const AddedToken* token) {
      if (token != nullptr) {
        result.tokens.push_back(token->id);
        if (with_offsets) add_offsets(text, white_space_around(text.substr(begin, end - begin)), begin, end, result);
      } else {
        encode_part(text, begin, end, with_offsets, scratch, result);
      }
    });
  }

  /// Encodes bytes `begin` to `end` of a text between added tokens.
  void encode_part(std::string_view text, std::size_t begin, std::size_t end, bool with_offsets, Scratch& scratch,
                   TokensWithOffsets& result) const {
    std::string_view part = text.substr(begin, end - begin);
    const std::size_t prefix = model_->config.add_prefix_space && part.front() != ' ' ? 1 : 0;
    if (prefix == 1) part = scratch.prefixed.assign(1, ' ').append(part);
    const auto add = [&](TokenId token, std::size_t first, std::size_t last) {
      result.tokens.push_back(token);
      if (!with_offsets) return;
      // The prefix has its place at the first code point, as Hugging Face counts.
      const std::size_t from = begin + first - (first > 0 ? prefix : 0);
      const std::size_t to = begin + std::max(last - prefix, std::size_t{1});
      add_offsets(text, spaces_around(part.substr(first, last - first)), from, to, result);
    };
    detail::for_each_gpt2_piece(part, [&](std::size_t first, std::size_t last) {
      const std::string_view piece = part.substr(first, last - first);
      if (const TokenId token = detail::find_token(model_->whole, piece); token != no_token) {
        return add(token, first, last);
      }
      merge(*model_, piece, scratch);
      for (const auto& [token, bytes] : scratch.symbols) {
        add(token, first, first + bytes);
        first += bytes;
      }
    });
  }

  /// Code points at either end of a token that are no part of its trimmed offsets.
  struct Around {
    std::size_t leading, trailing;
  };

  static Around spaces_around(std::string_view token) {
    return {.leading = std::min(token.find_first_not_of(' '), token.size()),
            .trailing = token.size() - (token.find_last_not_of(' ') + 1)};  // npos + 1 is 0
  }

  /// Of an added token, which may have taken any white space.
  static Around white_space_around(std::string_view token) {
    Around around{.leading = 0, .trailing = 0};
    bool only_white = true;
    for (std::size_t at = 0; at < token.size();) {
      const Utf8Step step = utf8_step(token, at);
      const bool white = detail::is_white_space(step.code_point);
      only_white = only_white && white;
      if (only_white) ++around.leading;
      around.trailing = white ? around.trailing + 1 : 0;
      at += step.length;
    }
    return around;
  }

  /// Offsets of a token from `begin` to `end` in a text.
  void add_offsets(std::string_view text, Around around, std::size_t begin, std::size_t end,
                   TokensWithOffsets& result) const {
    const auto within = [&](std::size_t at) { return at < text.size() && detail::is_utf8_trail(text[at]); };
    const auto forward = [&](std::size_t& at) {
      do ++at;
      while (within(at));
    };
    const auto back = [&](std::size_t& at) {
      do --at;
      while (within(at));
    };
    while (within(begin)) --begin;
    while (within(end)) ++end;
    if (model_->config.trim_offsets) {
      const bool first = result.offsets.empty() || begin == 0;
      if (first && model_->config.add_prefix_space && around.leading == 1) around.leading = 0;  // it may be the prefix
      for (; around.leading > 0 && begin < end; --around.leading) forward(begin);
      for (; around.trailing > 0 && end > begin; --around.trailing) back(end);
    }
    result.offsets.push_back({static_cast<Index>(begin), static_cast<Index>(end)});
  }

  std::shared_ptr<const Model> model_;
};

static_assert(Tokenizer<ByteLevelBpeTokenizer>);

}  // namespace linformer::inline LINFORMER_ABI
