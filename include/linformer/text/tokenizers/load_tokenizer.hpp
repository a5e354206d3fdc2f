#pragma once

// The component linformer::tokenizers: needs utf8proc and nlohmann-json.

#include <linformer/text/tokenizers/tokenizer_json.hpp>

#include <cstdlib>
#include <filesystem>

namespace linformer::inline LINFORMER_ABI {

namespace detail {

/// Tokens that are named beside a vocabulary are those of it, as special tokens are. @param tokens names to ids
inline void require_in_vocabulary(const JsonValue& tokens, Index vocabulary_size) {
  if (tokens.is_null()) return;
  if (!tokens.json().is_object()) tokens.fail("an object");
  for (const auto& [name, value] : tokens.json().items()) {
    const JsonValue token = tokens[name];
    // added_tokens_decoder has them the other way round: an id is the name.
    const bool known = value.is_object() ? name.size() < 10 && std::atoi(name.c_str()) < vocabulary_size
                                         : token.id() < vocabulary_size;
    if (!known) token.fail("a token of the vocabulary; tokenizer.json may have others", ErrorCode::unsupported);
  }
}

}  // namespace detail

/// The tokenizer in a folder as Hugging Face has it: of tokenizer.json, else of vocab.json and merges.txt (RoBERTa's),
/// else of vocab.txt (BERT's); the latter two with what tokenizer_config.json, if there is one, says of case, accents,
/// ideographs and the space before a text.
/// @throws Error file_access; malformed_input; unsupported as `read_tokenizer_json`, for tokens that are added to
/// vocab.json or vocab.txt, for texts that are not cut as BERT's are, and for a folder with none of these
[[nodiscard]] inline PretrainedTokenizer load_tokenizer(const std::filesystem::path& folder,
                                                        const PretrainedTokenizerOptions& options = {}) {
  const auto has = [&](const char* name) {
    std::error_code ignored;
    return std::filesystem::exists(folder / name, ignored);
  };
  if (has("tokenizer.json")) return read_tokenizer_json(folder / "tokenizer.json", options);
  const auto read_if_there = [&](const char* name) {
    return has(name) ? read_json(folder / name) : nlohmann::json::object();
  };
  const nlohmann::json json = read_if_there("tokenizer_config.json"), added = read_if_there("added_tokens.json");
  const detail::JsonValue settings(json, (folder / "tokenizer_config.json").string());
  const auto whole = [&](PretrainedTokenizer tokenizer) {
    detail::require_in_vocabulary({added, (folder / "added_tokens.json").string()}, tokenizer.vocabulary_size());
    detail::require_in_vocabulary(settings["added_tokens_decoder"], tokenizer.vocabulary_size());
    return tokenizer;
  };
  if (has("vocab.json") && has("merges.txt")) {
    const ByteLevelBpeConfig config{.add_prefix_space = settings["add_prefix_space"].boolean(false),
                                    .special_tokens_in_text = options.special_tokens_in_text};
    return whole(PretrainedTokenizer(read_byte_level_bpe(folder / "vocab.json", folder / "merges.txt", config)));
  }
  if (has("vocab.txt")) {
    const detail::JsonValue basic = settings["do_basic_tokenize"], kept = settings["never_split"];
    if (!basic.boolean(true)) basic.fail("true", ErrorCode::unsupported);
    if (!kept.is_null() && !kept.elements().empty()) kept.fail("no text that stays whole", ErrorCode::unsupported);
    WordPieceConfig config{.special_tokens_in_text = options.special_tokens_in_text};
    config.normalization = {.handle_chinese_chars = settings["tokenize_chinese_chars"].boolean(true),
                            .lowercase = settings["do_lower_case"].boolean(true)};
    if (const detail::JsonValue strip = settings["strip_accents"]; !strip.is_null()) {
      config.normalization.strip_accents = strip.boolean(false);
    }
    return whole(PretrainedTokenizer(WordPieceTokenizer(folder / "vocab.txt", config)));
  }
  throw Error(ErrorCode::unsupported, folder.string(), "tokenizer.json, vocab.json with merges.txt, or vocab.txt",
              has("sentencepiece.bpe.model") ? "sentencepiece.bpe.model, which XlmRobertaTokenizer reads" : "none");
}

}  // namespace linformer::inline LINFORMER_ABI
