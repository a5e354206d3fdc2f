// Classifies texts, a line each (of pairs, two with a tab between them), from files or stdin: one JSON object a line
// with the label, or those that hold where there may be several, and all probabilities. Or a corpus: files of JSON
// records, by one process or many.
#include "support/any_tokenizer.hpp"
#include "support/corpus.hpp"
#include "support/model_folder.hpp"
#include "support/program.hpp"
#include "support/streams.hpp"

namespace {

using namespace linformer;

struct Options {
  std::string model;
  std::vector<std::string> files;
  CorpusOptions corpus;
  Index threads = 1;
  bool skip_self_test = false;
};

/// A text, or a pair of them.
struct Texts {
  std::string first, second;
};

class Classifier {
 public:
  explicit Classifier(const Options& options)
      : settings_(ClassifierSettings::read(options.model)),
        model_(read_model_config(options.model, static_cast<Index>(settings_.labels.size())),
               static_cast<Index>(settings_.labels.size()), settings_.pooling, 1),
        tokenizer_(AnyTokenizer::of_model(options.model, model_.encoder().config().vocabulary_size)),
        pool_(options.threads) {
    load_model(SafetensorsFile::open(options.model + "/model.safetensors"), model_,
               Execution{pool_, workspace_, default_isa()}, {.self_test = !options.skip_self_test});
  }

  [[nodiscard]] bool pairs() const { return settings_.pairs; }

  /// What results depend on.
  [[nodiscard]] nlohmann::json fingerprints(const std::string& folder) const {
    Fingerprint model, tokenizer;
    model.take(settings_.to_json().dump());
    model.take(to_json(model_.encoder().config()).dump());
    model.take_parameters(model_);
    for (const char* name : AnyTokenizer::file_names) {
      const std::string file = folder + "/" + name;
      tokenizer.take(std::filesystem::exists(file) ? read_file(file) : "");
    }
    return {{"model", model.value()}, {"tokenizer", tokenizer.value()}};
  }

  /// A JSON object for each text: what it is.
  std::vector<nlohmann::ordered_json> classify(const std::vector<Texts>& texts) {
    std::vector<std::vector<TokenId>> sequences;
    std::vector<Index> dropped, second_begins;
    for (const Texts& text : texts) {
      const EncodeConfig config{.length = model_.encoder().config().sequence_length};
      EncodedText encoded = settings_.pairs ? encode_pair(tokenizer_, text.first, text.second, config)
                                            : encode_text(tokenizer_, text.first, config);
      dropped.push_back(encoded.dropped());
      if (settings_.pairs && model_.encoder().config().token_types > 1) second_begins.push_back(encoded.second_begins);
      sequences.push_back(std::move(encoded.sequences.front()));
    }
    Matrix<float> p = model_.forward(TokenBatch::from_sequences(sequences, second_begins), {}, nullptr,
                                     Execution{pool_, workspace_, default_isa()});
    std::vector<nlohmann::ordered_json> lines;
    for (Index i = 0; i < p.rows(); ++i) {
      nlohmann::ordered_json& line = lines.emplace_back();
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
    }
    return lines;
  }

 private:
  ClassifierSettings settings_;
  SequenceClassifier<float> model_;
  AnyTokenizer tokenizer_;
  ThreadPool pool_;
  Workspace workspace_;
};

/// @param place of the line, for errors
Texts texts_of_line(const std::string& line, const std::string& place, bool pairs) {
  if (!pairs) return {line, {}};
  const std::size_t tab = line.find('\t');
  detail::require(tab != std::string::npos, ErrorCode::malformed_input, place,
                  "two texts with a tab between them, as this classifier was trained on pairs", line.substr(0, 80));
  return {line.substr(0, tab), line.substr(tab + 1)};
}

void classify_lines(std::istream& in, const std::string& name, Index batch, Classifier& classifier) {
  std::vector<Texts> texts;
  const auto print = [&] {
    for (const auto& line : classifier.classify(texts)) std::cout << line.dump() << '\n';
    flush(std::cout, "stdout");
    texts.clear();
  };
  std::size_t number = 0;
  for (std::string line; next_line(in, line);) {
    texts.push_back(texts_of_line(line, name + ":" + std::to_string(++number), classifier.pairs()));
    if (static_cast<Index>(texts.size()) == batch) print();
  }
  require_read_to_end(in, name);
  if (!texts.empty()) print();
}

int classify_corpus(const Options& options, Classifier& classifier, const ProgramWorld& world) {
  const RecordFields& fields = options.corpus.fields;
  detail::require(classifier.pairs() == !fields.second.empty(), ErrorCode::invalid_configuration, "--second",
                  classifier.pairs() ? "a field, as this classifier was trained on pairs"
                                     : "none, as this classifier was not trained on pairs",
                  fields.second.empty() ? "none" : fields.second);
  nlohmann::json manifest = classifier.fingerprints(options.model);
  manifest["text"] = fields.text, manifest["second"] = fields.second;
  const auto classify = [&](std::span<const JsonRecord> records) {
    std::vector<Texts> texts;
    for (const JsonRecord& record : records) texts.push_back({record.first, record.second});
    return classifier.classify(texts);
  };
  return CorpusRun(options.corpus, world, classify).run(manifest);
}

int run(const Options& options, const ProgramWorld& world) {
  Classifier classifier(options);
  if (!options.corpus.input.empty()) return classify_corpus(options, classifier, world);
  detail::require(world.size() == 1, ErrorCode::unsupported, "files", "--input, which several processes share out",
                  std::to_string(world.size()) + " processes for lines of text");
  if (options.files.empty()) classify_lines(std::cin, "stdin", options.corpus.batch, classifier);
  for (const std::string& file : options.files) {
    std::ifstream in = detail::open_to_read(file);
    classify_lines(in, file, options.corpus.batch, classifier);
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  CLI::App app(
      "Classifies texts, a line each: one JSON object a line. Or, with --input, the records of JSON-lines files, which "
      "the processes of mpirun share out; the same command does what is missing.");
  app.option_defaults()->always_capture_default();
  app.add_option("model", options.model, "folder that finetune wrote")->required()->check(CLI::ExistingDirectory);
  CLI::Option* const files = app.add_option("files", options.files, "texts; none: stdin")->check(CLI::ExistingFile);
  CLI::Option* const input =
      app.add_option("--input", options.corpus.input, "names or patterns of files with a JSON object a line")
          ->excludes(files);
  CLI::Option* const output =
      app.add_option("--output", options.corpus.output,
                     "folder for the results of --input: a file of the same name each, and NAME.malformed with records "
                     "that are none");
  input->needs(output);
  output->needs(input);
  app.add_option("--text", options.corpus.fields.text, "field of a record that is its text")->needs(input);
  app.add_option("--second", options.corpus.fields.second, "field of a second text, of pairs")->needs(input);
  app.add_flag("--keep-going", options.corpus.keep_going, "after a file of --input that cannot be read")->needs(input);
  app.add_option("--batch", options.corpus.batch, "texts that are computed together")->check(CLI::PositiveNumber);
  app.add_option("--threads", options.threads, "threads of each process")->check(CLI::PositiveNumber);
  app.add_flag("--skip-self-test", options.skip_self_test, "load the model without a replay of its self-test");
  return run_in_processes(app, argc, argv, [&](const ProgramWorld& world) { return run(options, world); });
}
