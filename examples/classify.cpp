// Classifies texts, a line each (of pairs, two with a tab between them), from files or stdin: one JSON object a line
// with the label, or those that hold where there may be several, and all probabilities.
#include "support/any_tokenizer.hpp"
#include "support/model_folder.hpp"

#include <CLI/CLI.hpp>

#include <cstdio>
#include <iostream>

namespace {

using namespace linformer;

struct Options {
  std::string model;
  std::vector<std::string> files;
  Index batch = 32, threads = 1;
  bool skip_self_test = false;
};

class Classifier {
 public:
  explicit Classifier(const Options& options)
      : settings_(ClassifierSettings::read(options.model)),
        tokenizer_(AnyTokenizer::of_folder(options.model)),
        model_(read_model_config(options.model, static_cast<Index>(settings_.labels.size())),
               static_cast<Index>(settings_.labels.size()), settings_.pooling, 1),
        pool_(options.threads) {
    load_model(SafetensorsFile::open(options.model + "/model.safetensors"), model_,
               Execution{pool_, workspace_, default_isa()}, {.self_test = !options.skip_self_test});
  }

  /// Prints what each text is.
  void classify(const std::vector<std::string>& texts) {
    std::vector<std::vector<TokenId>> sequences;
    std::vector<Index> dropped, second_begins;
    for (const std::string& text : texts) {
      const EncodeConfig config{.length = model_.encoder().config().sequence_length};
      const std::size_t tab = settings_.pairs ? text.find('\t') : std::string::npos;
      detail::require(!settings_.pairs || tab != std::string::npos, ErrorCode::malformed_input, "line",
                      "two texts with a tab between them, as this classifier was trained on pairs", text.substr(0, 80));
      EncodedText encoded = settings_.pairs ? encode_pair(tokenizer_, text.substr(0, tab), text.substr(tab + 1), config)
                                            : encode_text(tokenizer_, text, config);
      dropped.push_back(encoded.dropped());
      if (settings_.pairs && model_.encoder().config().token_types > 1) second_begins.push_back(encoded.second_begins);
      sequences.push_back(std::move(encoded.sequences.front()));
    }
    Matrix<float> p = model_.forward(TokenBatch::from_sequences(sequences, second_begins), {}, nullptr,
                                     Execution{pool_, workspace_, default_isa()});
    for (Index i = 0; i < p.rows(); ++i) {
      nlohmann::ordered_json line;
      if (settings_.multi_label) {
        p.row(i) = 1 / (1 + (-p.row(i).array()).exp());
        line["labels"] = nlohmann::ordered_json::array();
        for (Index c = 0; c < p.cols(); ++c) {
          if (p(i, c) > 0.5F) line["labels"].push_back(settings_.labels[static_cast<std::size_t>(c)]);
        }
      } else {
        Index best = 0;
        const float largest = p.row(i).maxCoeff(&best);
        p.row(i) = (p.row(i).array() - largest).exp();
        p.row(i) /= p.row(i).sum();
        line["label"] = settings_.labels[static_cast<std::size_t>(best)];
      }
      for (Index c = 0; c < p.cols(); ++c) {
        line["probabilities"][settings_.labels[static_cast<std::size_t>(c)]] = p(i, c);
      }
      if (dropped[static_cast<std::size_t>(i)] > 0) line["dropped_tokens"] = dropped[static_cast<std::size_t>(i)];
      std::cout << line.dump() << '\n';
    }
    std::cout.flush();
  }

 private:
  ClassifierSettings settings_;
  AnyTokenizer tokenizer_;
  SequenceClassifier<float> model_;
  ThreadPool pool_;
  Workspace workspace_;
};

void classify_lines(std::istream& in, Index batch, Classifier& classifier) {
  std::vector<std::string> texts;
  for (std::string line; std::getline(in, line);) {
    texts.push_back(line);
    if (static_cast<Index>(texts.size()) < batch) continue;
    classifier.classify(texts);
    texts.clear();
  }
  if (!texts.empty()) classifier.classify(texts);
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  CLI::App app("Classifies texts, a line each: one JSON object a line.");
  app.option_defaults()->always_capture_default();
  app.add_option("model", options.model, "folder that finetune wrote")->required()->check(CLI::ExistingDirectory);
  app.add_option("files", options.files, "texts; none: stdin")->check(CLI::ExistingFile);
  app.add_option("--batch", options.batch, "lines that are computed together")->check(CLI::PositiveNumber);
  app.add_option("--threads", options.threads, "threads")->check(CLI::PositiveNumber);
  app.add_flag("--skip-self-test", options.skip_self_test, "load the model without a replay of its self-test");
  CLI11_PARSE(app, argc, argv);
  try {
    Classifier classifier(options);
    if (options.files.empty()) classify_lines(std::cin, options.batch, classifier);
    for (const std::string& file : options.files) {
      std::ifstream in = detail::open_to_read(file);
      classify_lines(in, options.batch, classifier);
    }
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
