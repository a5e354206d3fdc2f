#pragma once

// The component linformer::sentencepiece: needs the SentencePiece library (Kudo and Richardson 2018, arXiv 1808.06226).

#include <linformer/core/file.hpp>
#include <linformer/text/tokenizer.hpp>

#include <sentencepiece_processor.h>
#include <sentencepiece_trainer.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <unordered_map>

namespace linformer::inline LINFORMER_ABI {

/// A SentencePiece model as a tokenizer. Copies share the model, and any number of threads may use it. The text is
/// normalised as the model says, so decoding gives the normalised text; pieces that the model calls control, such as
/// <s>, decode to nothing, <mask> to its name.
class SentencePieceTokenizer {
 public:
  /// Reads a model. @throws Error file_access; malformed_input if the file is no model
  explicit SentencePieceTokenizer(const std::filesystem::path& model)
      : SentencePieceTokenizer(read_file(model), model.string()) {}

  /// A model from the bytes of its file, called `name` in errors.
  SentencePieceTokenizer(std::string_view bytes, std::string name) {
    auto processor = std::make_shared<sentencepiece::SentencePieceProcessor>();
    const auto status = processor->LoadFromSerializedProto({bytes.data(), bytes.size()});
    if (bytes.empty() || !status.ok()) {
      throw Error(ErrorCode::malformed_input, std::move(name), "a SentencePiece model", status.ToString());
    }
    const auto id = [&](const char* piece) {
      const TokenId token = processor->PieceToId(piece);
      return processor->IdToPiece(token) == piece ? token : no_token;  // a piece unknown has the id of <unk>
    };
    special_ = {.bos = processor->bos_id(),
                .pad = processor->pad_id(),
                .eos = processor->eos_id(),
                .unknown = processor->unk_id(),
                .mask = id("<mask>")};
    model_ = std::move(processor);
  }

  [[nodiscard]] Index vocabulary_size() const { return model_->GetPieceSize(); }
  [[nodiscard]] const SpecialTokens& special_tokens() const noexcept { return special_; }

  /// @throws Error malformed_input if the library refuses the text
  [[nodiscard]] std::vector<TokenId> encode(std::string_view text) const {
    std::vector<TokenId> tokens;
    check(model_->Encode({text.data(), text.size()}, &tokens), "a text");
    return tokens;
  }

  /// @throws Error malformed_input on an id beyond the vocabulary
  [[nodiscard]] std::string decode(std::span<const TokenId> tokens) const {
    for (const TokenId token : tokens) detail::require_token(token, vocabulary_size());
    std::string text;
    check(model_->Decode(std::vector<int>(tokens.begin(), tokens.end()), &text), "tokens of the model");
    return text;
  }

  /// Text of one token as the model has it, where U+2581 stands for a space.
  [[nodiscard]] std::string piece(TokenId token) const {
    detail::require_token(token, vocabulary_size());
    return model_->IdToPiece(token);
  }

 private:
  static void check(const sentencepiece::util::Status& status, const char* expected) {
    if (!status.ok()) throw Error(ErrorCode::malformed_input, "SentencePiece", expected, status.ToString());
  }

  std::shared_ptr<const sentencepiece::SentencePieceProcessor> model_;
  SpecialTokens special_;
};

static_assert(Tokenizer<SentencePieceTokenizer>);

enum class SentencePieceKind { unigram, bpe };

struct SentencePieceConfig {
  SentencePieceKind kind = SentencePieceKind::unigram;
  Index vocabulary_size = 8000;
  double character_coverage = 0.9995;      ///< share of the characters that the vocabulary spells
  std::string normalization = "nmt_nfkc";  ///< or nfkc, identity, …
  bool keep_white_space = false;           ///< else runs of spaces are one, and those at either end none
  bool byte_fallback = false;              ///< spells other characters by their bytes instead of <unk>
};

namespace detail {

/// The lines of files, one after the other, as the trainer asks for them.
class SentencePieceLines : public sentencepiece::SentenceIterator {
 public:
  explicit SentencePieceLines(std::span<const std::filesystem::path> files) : files_(files) { advance(); }

  [[nodiscard]] bool done() const override { return done_; }
  void Next() override { advance(); }  // NOLINT(readability-identifier-naming): the library's name
  [[nodiscard]] const std::string& value() const override { return line_; }
  [[nodiscard]] sentencepiece::util::Status status() const override { return {}; }

 private:
  void advance() {
    for (;;) {
      while (in_.is_open() && std::getline(in_, line_)) {
        if (line_.ends_with('\r')) line_.pop_back();
        if (!line_.empty()) return;
      }
      if (in_.bad()) throw_file_access(files_[next_ - 1], "a file that can be read to its end");
      if (next_ == files_.size()) break;
      in_ = open_to_read(files_[next_++]);
    }
    done_ = true;
  }

  std::span<const std::filesystem::path> files_;
  std::size_t next_ = 0;
  std::ifstream in_;
  std::string line_;
  bool done_ = false;
};

}  // namespace detail

/// Trains a model on the lines of text files and returns the bytes of its file. The special tokens have the ids of
/// `leading_special_tokens`; <mask> in a text is the mask. One thread and no sampling: the same model every time.
/// @throws Error file_access; invalid_configuration if the library refuses, say a vocabulary too large for the text
[[nodiscard]] inline std::string train_sentencepiece(std::span<const std::filesystem::path> files,
                                                     const SentencePieceConfig& config = {}) {
  constexpr SpecialTokens special = leading_special_tokens;
  detail::SentencePieceLines lines(files);
  detail::require(!lines.done(), ErrorCode::invalid_configuration, "files", "a line of text", "none");
  const std::unordered_map<std::string, std::string> options{
      {"model_type", config.kind == SentencePieceKind::bpe ? "bpe" : "unigram"},
      {"vocab_size", std::to_string(config.vocabulary_size)},
      {"character_coverage", std::to_string(config.character_coverage)},
      {"normalization_rule_name", config.normalization},
      {"remove_extra_whitespaces", config.keep_white_space ? "false" : "true"},
      {"byte_fallback", config.byte_fallback ? "true" : "false"},
      {"bos_id", std::to_string(special.bos)},
      {"pad_id", std::to_string(special.pad)},
      {"eos_id", std::to_string(special.eos)},
      {"unk_id", std::to_string(special.unknown)},
      {"user_defined_symbols", "<mask>"},
      {"max_sentence_length", "1000000000"},  // bytes; the default leaves out lines above 4,192
      {"num_threads", "1"},
      {"minloglevel", "2"},
  };
  std::string model;
  sentencepiece::SetRandomGeneratorSeed(0);
  const auto status = sentencepiece::SentencePieceTrainer::Train(options, &lines, &model);
  detail::require(
      status.ok(), ErrorCode::invalid_configuration, "SentencePiece", [] { return std::string("a model to train"); },
      [&] { return status.ToString(); });
  return model;
}

/// Likewise, and writes the model to a file, whole or not at all.
inline void train_sentencepiece(std::span<const std::filesystem::path> files, const std::filesystem::path& model,
                                const SentencePieceConfig& config = {}) {
  write_file(model, train_sentencepiece(files, config));
}

}  // namespace linformer::inline LINFORMER_ABI
