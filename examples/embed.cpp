// Embeds texts, a line each, from files or stdin: the mean of the encoder's output over a text's tokens, of length 1,
// so that products are cosines. One JSON object a line, or a NumPy file.
#include "support/any_tokenizer.hpp"
#include "support/encoder_calls.hpp"
#include "support/numpy_file.hpp"
#include "support/progress.hpp"
#include "support/text_lines.hpp"

#include <linformer/io/json.hpp>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <cstdio>

namespace {

using namespace linformer;

struct Options {
  std::string model, numpy;
  std::vector<std::string> files;
  Index batch = 32, threads = 1, length = 0;
  bool bf16 = false;
};

/// Holds what sentence-transformers has beside a model against what is done here: the mean over tokens, of length 1.
/// @throws Error unsupported naming file and field
void require_mean_pooling(const std::filesystem::path& folder) {
  const std::filesystem::path file = folder / "modules.json";
  if (!std::filesystem::exists(file)) return;
  const auto require = [](bool holds, const std::filesystem::path& where, const char* expected, const auto& found) {
    detail::require(holds, ErrorCode::unsupported, where.string(), expected, detail::shown(found));
  };
  const nlohmann::json modules = read_json(file);
  require(modules.is_array(), file, "an array of modules", modules);
  for (const nlohmann::json& module : modules) {
    const std::string type = module.is_object() && module.contains("type") ? module["type"].dump() : "";
    const auto is = [&](const char* name) { return type.ends_with(std::string(".") + name + '"'); };
    require(is("Transformer") || is("Pooling") || is("Normalize"), file, "Transformer, Pooling and Normalize", module);
    if (!is("Pooling") || !module.contains("path") || !module["path"].is_string()) continue;
    const std::filesystem::path its = folder / module["path"].get<std::string>() / "config.json";
    const nlohmann::json pooling = read_json(its);
    require(pooling.is_object(), its, "an object", pooling);
    for (const auto& [field, value] : pooling.items()) {
      const bool other = field.starts_with("pooling_mode_") && (value == true) != (field == "pooling_mode_mean_tokens");
      require(!other, its.string() + ": " + field, "the mean over tokens alone", value);
    }
  }
}

class Embedder {
 public:
  explicit Embedder(const Options& options)
      : numpy_(!options.numpy.empty()),
        encoder_(load_encoder(options.model).frozen(options.bf16 ? Precision::bf16 : Precision::full)),
        tokenizer_(AnyTokenizer::of_model(options.model, encoder_.config().vocabulary_size)),
        length_(options.length != 0 ? options.length : encoder_.config().sequence_length),
        pool_(options.threads) {
    require_mean_pooling(options.model);
    const Index most = encoder_.config().sequence_length;
    detail::require(length_ <= most, ErrorCode::out_of_range, "--length", "at most the model's " + std::to_string(most),
                    std::to_string(length_));
  }

  void embed(const std::vector<std::string>& texts) {
    std::vector<std::vector<TokenId>> sequences;
    std::vector<Index> dropped;
    for (const std::string& text : texts) {
      EncodedText encoded = encode_text(tokenizer_, text, {.length = length_});
      dropped.push_back(encoded.dropped());
      cut_.add(encoded);
      sequences.push_back(std::move(encoded.sequences.front()));
    }
    const Matrix<float> vectors = sentence_embeddings(encoder_, TokenBatch::from_sequences(sequences),
                                                      Execution{pool_, workspace_, default_isa()});
    rows_ += vectors.rows();
    if (numpy_) {
      all_.insert(all_.end(), vectors.data(), vectors.data() + vectors.size());
      return;
    }
    for (Index row = 0; row < vectors.rows(); ++row) {
      nlohmann::ordered_json line;
      line["embedding"] = std::span(vectors.row(row).data(), static_cast<std::size_t>(vectors.cols()));
      if (dropped[static_cast<std::size_t>(row)] > 0) line["dropped_tokens"] = dropped[static_cast<std::size_t>(row)];
      std::cout << line.dump() << '\n';
    }
    flush(std::cout, "stdout");
  }

  void tell_cut() const { cut_.tell(length_); }
  [[nodiscard]] Index rows() const { return rows_; }
  [[nodiscard]] Index width() const { return encoder_.config().model_width; }
  /// Of all texts, with a NumPy file alone.
  [[nodiscard]] std::span<const float> all() const { return all_; }

 private:
  bool numpy_;
  FrozenEncoder<float> encoder_;
  AnyTokenizer tokenizer_;
  Index length_, rows_ = 0;
  CutTexts cut_;
  ThreadPool pool_;
  Workspace workspace_;
  std::vector<float> all_;
};

void embed_lines(std::istream& in, const std::string& name, Index batch, Embedder& embedder, Progress& progress) {
  std::vector<std::string> texts;
  const auto embed = [&] {
    if (texts.empty()) return;
    embedder.embed(texts);
    texts.clear();
    progress.update(static_cast<double>(embedder.rows()));
  };
  for (std::string line; next_line(in, line);) {
    texts.push_back(line);
    if (static_cast<Index>(texts.size()) == batch) embed();
  }
  require_read_to_end(in, name);
  embed();
}

double lines_of(const std::vector<std::string>& files) {
  double lines = 0;
  for (const std::string& file : files) {
    if (!std::filesystem::is_regular_file(file)) return 0;  // a pipe is read but once
    std::ifstream in = detail::open_to_read(file);
    lines += static_cast<double>(std::count(std::istreambuf_iterator<char>(in), {}, '\n'));
  }
  return lines;
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  CLI::App app(
      "Embeds texts, a line each: the mean over a text's tokens, of length 1. The model is a folder of this library's "
      "or of a BERT or RoBERTa of Hugging Face's.");
  app.option_defaults()->always_capture_default();
  app.add_option("model", options.model, "folder")->required()->check(CLI::ExistingDirectory);
  app.add_option("files", options.files, "texts; none: stdin")->check(CLI::ExistingFile);
  app.add_option("--numpy", options.numpy, "file to write, texts x width, float32, instead of JSON on stdout");
  app.add_option("--length", options.length, "tokens that are read of a text; 0: as many as the model can")
      ->check(CLI::NonNegativeNumber);
  app.add_option("--batch", options.batch, "lines that are computed together")->check(CLI::PositiveNumber);
  app.add_option("--threads", options.threads, "threads")->check(CLI::PositiveNumber);
  app.add_flag("--bf16", options.bf16, "weights and operands of products in bfloat16");
  CLI11_PARSE(app, argc, argv);
  try {
    Embedder embedder(options);
    Progress progress("embed", std::max(lines_of(options.files), 1.0), "texts");
    if (options.files.empty()) embed_lines(std::cin, "stdin", options.batch, embedder, progress);
    for (const std::string& file : options.files) {
      std::ifstream in = detail::open_to_read(file);
      embed_lines(in, file, options.batch, embedder, progress);
    }
    if (!options.numpy.empty()) write_numpy(options.numpy, embedder.all(), embedder.rows(), embedder.width());
    embedder.tell_cut();
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
