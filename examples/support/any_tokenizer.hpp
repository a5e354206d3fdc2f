#pragma once

#include <linformer/text.hpp>

#ifdef LINFORMER_EXAMPLES_SENTENCEPIECE
#include <linformer/text/sentencepiece_tokenizer.hpp>
#endif

#include <filesystem>
#include <string>
#include <variant>
#include <vector>

/// Bytes, or a SentencePiece model where the programs were built with it.
class AnyTokenizer {
 public:
  static constexpr const char* file_name = "tokenizer.model";

  AnyTokenizer() = default;

  /// The tokenizer of a model's folder: its SentencePiece model, or bytes where it has none.
  static AnyTokenizer of_folder(const std::string& folder) {
    const std::filesystem::path file = std::filesystem::path(folder) / file_name;
    return std::filesystem::exists(file) ? of_file(file) : AnyTokenizer();
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

#ifdef LINFORMER_EXAMPLES_SENTENCEPIECE
  std::variant<linformer::ByteTokenizer, linformer::SentencePieceTokenizer> tokenizer_;
#else
  std::variant<linformer::ByteTokenizer> tokenizer_;
#endif
};

static_assert(linformer::Tokenizer<AnyTokenizer>);
