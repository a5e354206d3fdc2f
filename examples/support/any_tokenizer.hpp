#pragma once

#include <linformer/core/file.hpp>
#include <linformer/text.hpp>

#ifdef LINFORMER_EXAMPLES_SENTENCEPIECE
#include <linformer/text/sentencepiece_tokenizer.hpp>
#endif
#ifdef LINFORMER_EXAMPLES_TOKENIZERS
#include <linformer/text/tokenizers/load_tokenizer.hpp>
#endif

#include <nlohmann/json.hpp>

#include <array>
#include <filesystem>
#include <string>
#include <variant>
#include <vector>

/// Bytes, or, where the programs were built with them, a SentencePiece model or a tokenizer of Hugging Face's.
class AnyTokenizer {
 public:
  static constexpr const char* file_name = "tokenizer.model";
  /// Files of a folder that say what its tokenizer is.
  static constexpr std::array file_names{file_name,    "tokenizer.json", "tokenizer_config.json",  "vocab.json",
                                         "merges.txt", "vocab.txt",      "sentencepiece.bpe.model"};

  AnyTokenizer() = default;

  /// The tokenizer of a model's folder: its SentencePiece model, or Hugging Face's files, or bytes where it has none.
  static AnyTokenizer of_folder(const std::string& folder) {
    const auto has = [&](const char* name) { return std::filesystem::exists(std::filesystem::path(folder) / name); };
    if (has(file_name)) return of_file(std::filesystem::path(folder) / file_name);
    if (has("tokenizer.json") || has("vocab.json") || has("vocab.txt") || has("sentencepiece.bpe.model")) {
      return of_hugging_face(folder);
    }
    // Bytes are what this library's own models read; another's without its tokenizer is not to be read as bytes.
    const std::string config = folder + "/config.json";
    if (std::filesystem::exists(config)) {
      const auto json = nlohmann::json::parse(linformer::read_file(config), nullptr, /*allow_exceptions=*/false);
      linformer::detail::require(json.is_object() && json.value("model_type", "") == "linformer",
                                 linformer::ErrorCode::unsupported, folder, "the tokenizer of its model", "none");
    }
    return AnyTokenizer();
  }

  /// Makes another folder's tokenizer this one's: copies what `of_folder` reads, and removes what this has not.
  static void copy_files(const std::string& from, const std::string& to) {
    if (std::filesystem::equivalent(from, to)) return;
    for (const char* name : file_names) {
      const std::string file = from + "/" + name, copy = to + "/" + name;
      if (std::filesystem::exists(file)) {
        linformer::write_file(copy, linformer::read_file(file));
      } else {
        std::filesystem::remove(copy);
      }
    }
  }

  /// The tokenizer of a run's folder, trained on the run's files first where the run is new and asks for a vocabulary.
  static AnyTokenizer of_run(const std::string& folder, const std::vector<std::string>& files,
                             linformer::Index vocabulary, bool new_run) {
    const bool there = std::filesystem::exists(std::filesystem::path(folder) / file_name);
    return vocabulary != 0 && new_run && !there ? train(files, vocabulary, folder) : of_folder(folder);
  }

  /// Trains a SentencePiece model on files and keeps it in a folder.
  static AnyTokenizer train(const std::vector<std::string>& files, linformer::Index vocabulary,
                            const std::string& folder) {
#ifdef LINFORMER_EXAMPLES_SENTENCEPIECE
    const std::filesystem::path file = std::filesystem::path(folder) / file_name;
    const std::vector<std::filesystem::path> paths(files.begin(), files.end());
    linformer::train_sentencepiece(paths, file, {.vocabulary_size = vocabulary});
    return of_file(file);
#else
    static_cast<void>(files);
    static_cast<void>(vocabulary);
    return of_file(folder);
#endif
  }

  [[nodiscard]] std::vector<linformer::TokenId> encode(std::string_view text) const {
    return std::visit([&](const auto& tokenizer) { return tokenizer.encode(text); }, tokenizer_);
  }
  [[nodiscard]] std::string decode(std::span<const linformer::TokenId> tokens) const {
    return std::visit([&](const auto& tokenizer) { return tokenizer.decode(tokens); }, tokenizer_);
  }
  [[nodiscard]] linformer::Index vocabulary_size() const {
    return std::visit([](const auto& tokenizer) { return tokenizer.vocabulary_size(); }, tokenizer_);
  }
  [[nodiscard]] linformer::SpecialTokens special_tokens() const {
    return std::visit([](const auto& tokenizer) { return linformer::SpecialTokens(tokenizer.special_tokens()); },
                      tokenizer_);
  }

 private:
  static AnyTokenizer of_file(const std::filesystem::path& file) {
#ifdef LINFORMER_EXAMPLES_SENTENCEPIECE
    AnyTokenizer result;
    result.tokenizer_ = linformer::SentencePieceTokenizer(file);
    return result;
#else
    throw linformer::Error(linformer::ErrorCode::unsupported, file.string(),
                           "bytes as tokens: this program was built without SentencePiece (libsentencepiece-dev)",
                           "a SentencePiece model");
#endif
  }

  static AnyTokenizer of_hugging_face(const std::string& folder) {
#ifdef LINFORMER_EXAMPLES_TOKENIZERS
    AnyTokenizer result;
    result.tokenizer_ = linformer::load_tokenizer(folder);
    return result;
#else
    throw linformer::Error(linformer::ErrorCode::unsupported, folder,
                           "bytes as tokens: this program was built without utf8proc (libutf8proc-dev)",
                           "a tokenizer of Hugging Face's");
#endif
  }

  std::variant<linformer::ByteTokenizer
#ifdef LINFORMER_EXAMPLES_SENTENCEPIECE
               ,
               linformer::SentencePieceTokenizer
#endif
#ifdef LINFORMER_EXAMPLES_TOKENIZERS
               ,
               linformer::PretrainedTokenizer
#endif
               >
      tokenizer_;
};

static_assert(linformer::Tokenizer<AnyTokenizer>);
