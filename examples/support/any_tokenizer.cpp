#include "any_tokenizer.hpp"

#include <linformer/io/json.hpp>

#ifdef LINFORMER_EXAMPLES_SENTENCEPIECE
#include <linformer/text/sentencepiece_xlm_roberta.hpp>
#endif
#ifdef LINFORMER_EXAMPLES_TOKENIZERS
#include <linformer/text/tokenizers/load_tokenizer.hpp>
#endif

#include <filesystem>

namespace {

using Kind = std::shared_ptr<const AnyTokenizer::Kind>;

template <linformer::Tokenizer T>
class KindOf : public AnyTokenizer::Kind {
 public:
  explicit KindOf(T tokenizer) : tokenizer_(std::move(tokenizer)) {}

  [[nodiscard]] std::vector<linformer::TokenId> encode(std::string_view text) const override {
    return tokenizer_.encode(text);
  }
  [[nodiscard]] std::string decode(std::span<const linformer::TokenId> tokens) const override {
    return tokenizer_.decode(tokens);
  }
  [[nodiscard]] linformer::Index vocabulary_size() const override { return tokenizer_.vocabulary_size(); }
  [[nodiscard]] linformer::SpecialTokens special_tokens() const override { return tokenizer_.special_tokens(); }

 private:
  T tokenizer_;
};

template <linformer::Tokenizer T>
Kind kind_of(T tokenizer) {
  return std::make_shared<KindOf<T>>(std::move(tokenizer));
}

Kind of_file(const std::filesystem::path& file) {
#ifdef LINFORMER_EXAMPLES_SENTENCEPIECE
  return kind_of(linformer::SentencePieceTokenizer(file));
#else
  throw linformer::Error(linformer::ErrorCode::unsupported, file.string(),
                         "bytes as tokens: this program was built without SentencePiece (libsentencepiece-dev)",
                         "a SentencePiece model");
#endif
}

Kind of_xlm_roberta(const std::filesystem::path& file) {
#ifdef LINFORMER_EXAMPLES_SENTENCEPIECE
  return kind_of(linformer::XlmRobertaTokenizer(file));
#else
  throw linformer::Error(linformer::ErrorCode::unsupported, file.string(),
                         "another tokenizer: this program was built without SentencePiece (libsentencepiece-dev)",
                         "XLM-RoBERTa's");
#endif
}

Kind of_hugging_face(const std::string& folder) {
#ifdef LINFORMER_EXAMPLES_TOKENIZERS
  return kind_of(linformer::load_tokenizer(folder));
#else
  throw linformer::Error(linformer::ErrorCode::unsupported, folder,
                         "bytes as tokens: this program was built without utf8proc (libutf8proc-dev)",
                         "a tokenizer of Hugging Face's");
#endif
}

/// Trains a SentencePiece model on files and keeps it in a folder.
Kind train([[maybe_unused]] const std::vector<std::string>& files, [[maybe_unused]] linformer::Index vocabulary,
           const std::filesystem::path& file) {
#ifdef LINFORMER_EXAMPLES_SENTENCEPIECE
  const std::vector<std::filesystem::path> paths(files.begin(), files.end());
  linformer::train_sentencepiece(paths, file, {.vocabulary_size = vocabulary});
#endif
  return of_file(file);
}

}  // namespace

AnyTokenizer::AnyTokenizer() : kind_(kind_of(linformer::ByteTokenizer())) {}

AnyTokenizer AnyTokenizer::of_folder(const std::string& folder) {
  const auto has = [&](const char* name) { return std::filesystem::exists(std::filesystem::path(folder) / name); };
  if (has(file_name)) return AnyTokenizer(of_file(std::filesystem::path(folder) / file_name));
  // Before the tokenizer.json that is beside it: a unigram model, which this library reads of SentencePiece alone.
  if (has(xlm_roberta_name)) return AnyTokenizer(of_xlm_roberta(std::filesystem::path(folder) / xlm_roberta_name));
  if (has("tokenizer.json") || has("vocab.json") || has("vocab.txt")) return AnyTokenizer(of_hugging_face(folder));
  // Bytes are what this library's own models read; another's without its tokenizer is not to be read as bytes.
  const std::string config = folder + "/config.json";
  if (std::filesystem::exists(config)) {
    const nlohmann::json json = linformer::read_json(config);
    const bool own = json.is_object() && json.contains("model_type") && json["model_type"] == "linformer";
    linformer::detail::require(own, linformer::ErrorCode::unsupported, folder, "the tokenizer of its model", "none");
  }
  return {};
}

AnyTokenizer AnyTokenizer::of_model(const std::string& folder, linformer::Index vocabulary_size) {
  AnyTokenizer tokenizer = of_folder(folder);
  linformer::detail::require(tokenizer.vocabulary_size() <= vocabulary_size,
                             linformer::ErrorCode::invalid_configuration, folder + ": vocabulary",
                             "a tokenizer of at most the model's " + std::to_string(vocabulary_size) + " tokens",
                             std::to_string(tokenizer.vocabulary_size()));
  return tokenizer;
}

AnyTokenizer AnyTokenizer::of_run(const std::string& folder, const std::vector<std::string>& files,
                                  linformer::Index vocabulary, bool new_run) {
  const std::filesystem::path file = std::filesystem::path(folder) / file_name;
  const bool trains = vocabulary != 0 && new_run && !std::filesystem::exists(file);
  return trains ? AnyTokenizer(train(files, vocabulary, file)) : of_folder(folder);
}

void AnyTokenizer::copy_files(const std::string& from, const std::string& to) {
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
