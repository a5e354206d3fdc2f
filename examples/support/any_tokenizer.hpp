#pragma once

#include <linformer/text.hpp>

#include <array>
#include <memory>
#include <string>
#include <vector>

/// Bytes, or, where the programs were built with them, a SentencePiece model, XLM-RoBERTa's among them, or a tokenizer
/// of Hugging Face's.
class AnyTokenizer {
 public:
  static constexpr const char* file_name = "tokenizer.model";
  static constexpr const char* xlm_roberta_name = "sentencepiece.bpe.model";
  /// Files of a folder that say what its tokenizer is.
  static constexpr std::array file_names{file_name,    "tokenizer.json", "tokenizer_config.json", "vocab.json",
                                         "merges.txt", "vocab.txt",      xlm_roberta_name};

  /// What each of them can do.
  class Kind {
   public:
    virtual ~Kind() = default;
    [[nodiscard]] virtual std::vector<linformer::TokenId> encode(std::string_view text) const = 0;
    [[nodiscard]] virtual std::string decode(std::span<const linformer::TokenId> tokens) const = 0;
    [[nodiscard]] virtual linformer::Index vocabulary_size() const = 0;
    [[nodiscard]] virtual linformer::SpecialTokens special_tokens() const = 0;
  };

  /// Bytes.
  AnyTokenizer();

  /// The tokenizer of a model's folder: its SentencePiece model, or XLM-RoBERTa's, or Hugging Face's files, or bytes
  /// where it has none.
  static AnyTokenizer of_folder(const std::string& folder);

  /// The same, whose tokens the model of the folder must know all. @throws linformer::Error invalid_configuration
  static AnyTokenizer of_model(const std::string& folder, linformer::Index vocabulary_size);

  /// The tokenizer of a run's folder, trained on the run's files first where the run is new and asks for a vocabulary.
  static AnyTokenizer of_run(const std::string& folder, const std::vector<std::string>& files,
                             linformer::Index vocabulary, bool new_run);

  /// Makes another folder's tokenizer this one's: copies what `of_folder` reads, and removes what this has not.
  static void copy_files(const std::string& from, const std::string& to);

  [[nodiscard]] std::vector<linformer::TokenId> encode(std::string_view text) const { return kind_->encode(text); }
  [[nodiscard]] std::string decode(std::span<const linformer::TokenId> tokens) const { return kind_->decode(tokens); }
  [[nodiscard]] linformer::Index vocabulary_size() const { return kind_->vocabulary_size(); }
  [[nodiscard]] linformer::SpecialTokens special_tokens() const { return kind_->special_tokens(); }

 private:
  explicit AnyTokenizer(std::shared_ptr<const Kind> kind) : kind_(std::move(kind)) {}

  std::shared_ptr<const Kind> kind_;
};

static_assert(linformer::Tokenizer<AnyTokenizer>);
