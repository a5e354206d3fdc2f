#pragma once

// The component linformer::tokenizers: needs utf8proc and nlohmann-json.

#include <linformer/text/tokenizers/tokenizer_json.hpp>

#include <filesystem>

namespace linformer::inline LINFORMER_ABI {

/// The tokenizer in a folder as Hugging Face has it: of tokenizer.json, else of vocab.json and merges.txt (RoBERTa's),
/// else of vocab.txt (BERT's); the latter two with what tokenizer_config.json, if there is one, says of case, accents,
/// ideographs and the space before a text.
/// @throws Error file_access; malformed_input; unsupported as `read_tokenizer_json`, and for a folder with none of
/// these
[[nodiscard]] inline PretrainedTokenizer load_tokenizer(const std::filesystem::path& folder,
                                                        const PretrainedTokenizerOptions& options = {}) {
  const auto has = [&](const char* name) { return std::filesystem::exists(folder / name); };
  if (has("tokenizer.json")) return read_tokenizer_json(folder / "tokenizer.json", options);
  const auto file = folder / "tokenizer_config.json";
  const nlohmann::json json = has("tokenizer_config.json") ? read_json(file) : nlohmann::json::object();
  const detail::JsonValue settings(json, file.string());
  if (has("vocab.json") && has("merges.txt")) {
    const ByteLevelBpeConfig config{.add_prefix_space = settings["add_prefix_space"].boolean(false),
                                    .special_tokens_in_text = options.special_tokens_in_text};
    return PretrainedTokenizer(read_byte_level_bpe(folder / "vocab.json", folder / "merges.txt", config));
  }
  if (has("vocab.txt")) {
    WordPieceConfig config{.special_tokens_in_text = options.special_tokens_in_text};
    config.normalization = {.handle_chinese_chars = settings["tokenize_chinese_chars"].boolean(true),
                            .lowercase = settings["do_lower_case"].boolean(true)};
    if (const detail::JsonValue strip = settings["strip_accents"]; !strip.is_null()) {
      config.normalization.strip_accents = strip.boolean(false);
    }
    return PretrainedTokenizer(WordPieceTokenizer(folder / "vocab.txt", config));
  }
  throw Error(ErrorCode::unsupported, folder.string(), "tokenizer.json, vocab.json with merges.txt, or vocab.txt",
              has("sentencepiece.bpe.model") ? "sentencepiece.bpe.model, which XlmRobertaTokenizer reads" : "none");
}

}  // namespace linformer::inline LINFORMER_ABI
