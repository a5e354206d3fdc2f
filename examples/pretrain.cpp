// Trains a masked language model on text files: tokens are bytes, a sequence is n of them. Ctrl-C saves; the same
// command goes on where the run was, bit for bit.
#include <linformer/io.hpp>
#include <linformer/model/config_json.hpp>
#include <linformer/text.hpp>
#include <linformer/train/masked_language_loss.hpp>
#include <linformer/train/sample_order.hpp>
#include <linformer/train/trainer.hpp>
#include <linformer/train/training_file.hpp>

#include "support/any_tokenizer.hpp"
#include "support/model_folder.hpp"
#include "support/progress.hpp"

#include <CLI/CLI.hpp>

#include <chrono>
#include <cstdio>
#include <map>
#include <string>
#include <vector>

namespace {

using namespace linformer;

struct Options {
  std::vector<std::string> files;
  std::string validation, output = "pretrained", preset = "tiny", mechanism = "linformer", sharing = "key_value";
  Index vocabulary = 0, layers = 0, width = 0, heads = 0, length = 256, projected_length = 64, batch = 16, threads = 2;
  std::int64_t steps = 1000, warmup = 100, save_every = 200, evaluate_every = 200;
  double learning_rate = 1e-3, dropout = 0.1;
  std::uint64_t seed = 1;
  bool recompute = false;
};

/// Sequences of at most `length` tokens of all files together, each framed by <s> and </s>.
std::vector<std::vector<TokenId>> read_sequences(const AnyTokenizer& tokenizer, const std::vector<std::string>& files,
                                                 Index length) {
  std::vector<std::vector<TokenId>> sequences;
  for (const std::string& file : files) {
    const MappedFile text(file);
    const std::string_view characters(reinterpret_cast<const char*>(text.bytes().data()), text.bytes().size());
    EncodedText encoded = encode_text(tokenizer, characters, {.length = length, .on_too_long = OnTooLong::windows});
    for (auto& sequence : encoded.sequences) sequences.push_back(std::move(sequence));
  }
  return sequences;
}

EncoderConfig encoder_config(const Options& options, Index vocabulary) {
  const std::map<std::string, EncoderConfig> sizes{
      {"tiny", presets::tiny()}, {"small", presets::small()}, {"base", presets::base()}};
  EncoderConfig config = sizes.at(options.preset);
  if (options.layers != 0) config.layers = options.layers;
  if (options.width != 0) config.model_width = options.width;
  if (options.heads != 0) config.heads = options.heads;
  config.vocabulary_size = vocabulary;
  config.sequence_length = options.length;
  config.projected_length = options.projected_length;
  config.mechanism = options.mechanism == "softmax" ? Mechanism::softmax_tiled : Mechanism::linformer;
  for (const auto& [name, sharing] : detail::sharing_names) {
    if (name == options.sharing) config.sharing = sharing;
  }
  config.dropout = config.attention_dropout = options.dropout;
  return resolved(config);
}

/// The sequences of one batch, hidden anew in each epoch.
struct Sample {
  BatchLayout layout;
  MaskedTokens masked;
};

class Data {
 public:
  Data(const AnyTokenizer& tokenizer, std::vector<std::vector<TokenId>> sequences, const Options& options, bool shuffle)
      : sequences_(std::move(sequences)),
        seed_(options.seed),
        masking_({.vocabulary = static_cast<std::int32_t>(tokenizer.vocabulary_size()),
                  .mask_id = tokenizer.special_tokens().mask,
                  .special_ids = {0, 1, 2, 3}}),
        order_(seed_, lengths(), {.samples = options.batch, .shuffle = shuffle}) {}

  [[nodiscard]] std::string fingerprint() const { return fingerprint_of(sequences_, {}); }
  [[nodiscard]] Index batches() { return order_.epoch(0).batches(); }
  [[nodiscard]] Sample batch(std::uint64_t epoch, Index i) {
    const std::span<const Index> samples = order_.batch(epoch, i);
    std::vector<std::vector<TokenId>> chosen;
    for (const Index sample : samples) chosen.push_back(sequences_[static_cast<std::size_t>(sample)]);
    TokenBatch tokens = TokenBatch::from_sequences(chosen);
    MaskedTokens masked = masking_.apply(tokens.ids, tokens.layout, samples, seed_, epoch);
    return {std::move(tokens.layout), std::move(masked)};
  }

 private:
  [[nodiscard]] std::vector<Index> lengths() const {
    std::vector<Index> result;
    for (const auto& sequence : sequences_) result.push_back(static_cast<Index>(sequence.size()));
    return result;
  }

  std::vector<std::vector<TokenId>> sequences_;
  std::uint64_t seed_;
  TokenMasking masking_;
  SampleOrder order_;
};

/// Mean loss of the masked tokens of all validation batches, hidden as in epoch 0.
double evaluate(const MaskedLanguageModel<float>& model, Data& data, const Execution& execution) {
  LossSum sum;
  for (Index i = 0; i < data.batches(); ++i) {
    const Sample sample = data.batch(0, i);
    sum += masked_language_loss(model, sample.layout, sample.masked, execution);
  }
  return sum.mean();
}

int run(const Options& options) {
  std::filesystem::create_directories(options.output);
  AnyTokenizer tokenizer = AnyTokenizer::of_folder(options.output);  // that of a run which goes on
  const std::string state = options.output + "/training.safetensors", log = options.output + "/log.jsonl";
  if (options.vocabulary != 0 && !std::filesystem::exists(options.output + "/" + AnyTokenizer::file_name) &&
      !std::filesystem::exists(state)) {
    tokenizer = AnyTokenizer::train(options.files, options.vocabulary, options.output);
  }
  const EncoderConfig config = encoder_config(options, tokenizer.vocabulary_size());
  Data training(tokenizer, read_sequences(tokenizer, options.files, options.length), options, /*shuffle=*/true);
  std::optional<Data> validation;
  if (!options.validation.empty()) {
    validation.emplace(tokenizer, read_sequences(tokenizer, {options.validation}, options.length), options,
                       /*shuffle=*/false);
  }

  nlohmann::ordered_json settings = {{"encoder", to_json(config)}, {"vocabulary", options.vocabulary}};
  settings["data"] = training.fingerprint();
  settings["batch"] = options.batch;
  settings["steps"] = options.steps;
  settings["warmup"] = options.warmup;
  settings["learning_rate"] = options.learning_rate;
  settings["seed"] = options.seed;

  MaskedLanguageModel<float> model(config, options.seed);
  Trainer<float, MaskedLanguageModel<float>> trainer(
      model,
      {.schedule = {.peak = options.learning_rate, .warmup_steps = options.warmup, .total_steps = options.steps}});
  if (std::filesystem::exists(state)) {
    load_training(SafetensorsFile::open(state), model, trainer.optimizer(), settings.dump());
    std::printf("Goes on at step %llu.\n", static_cast<unsigned long long>(trainer.steps()));
  }
  keep_log_until(log, trainer.steps());
  std::printf("%td parameters, %td sequences a batch, %td batches an epoch.\n", parameter_count(model), options.batch,
              training.batches());
  std::ofstream log_file(log, std::ios::app);
  const auto save = [&] { save_training(state, model, trainer.optimizer(), settings.dump()); };

  ThreadPool pool(options.threads);
  Workspace workspace;
  const Execution execution{pool, workspace, default_isa()};
  EncoderCache<float> cache;
  Progress progress("pretrain", static_cast<double>(options.steps), "steps");
  const auto start = std::chrono::steady_clock::now();
  double tokens = 0;
  while (trainer.steps() < static_cast<std::uint64_t>(options.steps) && !interrupted) {
    const std::uint64_t step = trainer.steps();
    const auto batches = static_cast<std::uint64_t>(training.batches());
    const Sample sample = training.batch(step / batches, static_cast<Index>(step % batches));
    const TrainingStep done = trainer.step(
        model, 1,
        [&](Index, MaskedLanguageModel<float>& gradient) {
          return masked_language_gradient(
              model, sample.layout, sample.masked,
              {.dropout = DropoutAddress{.seed = options.seed, .step = step}, .recompute = options.recompute}, 1.0,
              cache, gradient, execution);
        },
        pool);
    tokens += static_cast<double>(sample.layout.rows());
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    nlohmann::ordered_json line = {{"step", step + 1},
                                   {"loss", done.loss.mean()},
                                   {"gradient_norm", done.gradient_norm},
                                   {"learning_rate", done.learning_rate},
                                   {"tokens_per_second", tokens / seconds}};
    const bool last = step + 1 == static_cast<std::uint64_t>(options.steps);
    if (validation && ((step + 1) % static_cast<std::uint64_t>(options.evaluate_every) == 0 || last)) {
      const double loss = evaluate(model, *validation, execution);
      line["validation_loss"] = loss;
      std::printf("step %llu: training loss %.4f, validation loss %.4f, perplexity %.2f\n",
                  static_cast<unsigned long long>(step + 1), done.loss.mean(), loss, std::exp(loss));
      std::fflush(stdout);
    }
    log_file << line.dump() << std::endl;
    if ((step + 1) % static_cast<std::uint64_t>(options.save_every) == 0) save();
    progress.update(static_cast<double>(step + 1));
  }
  save();
  if (interrupted) {
    std::printf("Saved at step %llu; the same command goes on.\n", static_cast<unsigned long long>(trainer.steps()));
    return 130;
  }
  save_parameters(options.output + "/model.safetensors", model);
  write_file(options.output + "/config.json", to_json(config).dump(2) + "\n");
  std::printf("%s/model.safetensors, config.json and log.jsonl written.\n", options.output.c_str());
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  CLI::App app("Trains a masked language model on text files; the same command resumes it.");
  app.option_defaults()->always_capture_default();
  app.add_option("files", options.files, "text of any kind")->required()->check(CLI::ExistingFile);
  app.add_option("--validation", options.validation, "text that is not trained on")->check(CLI::ExistingFile);
  app.add_option("--output", options.output, "folder for the checkpoint, the model and the log");
  app.add_option("--preset", options.preset, "size")->check(CLI::IsMember({"tiny", "small", "base"}));
  app.add_option("--layers", options.layers, "layers; 0: the preset's")->check(CLI::NonNegativeNumber);
  app.add_option("--width", options.width, "model width; 0: the preset's")->check(CLI::NonNegativeNumber);
  app.add_option("--heads", options.heads, "heads; 0: the preset's")->check(CLI::NonNegativeNumber);
  app.add_option("--mechanism", options.mechanism, "attention")->check(CLI::IsMember({"linformer", "softmax"}));
  app.add_option("--sharing", options.sharing, "sharing of E and F")
      ->check(CLI::IsMember({"none", "headwise", "key_value", "layerwise"}));
  app.add_option("--vocabulary", options.vocabulary, "pieces of a SentencePiece model to train first; 0: bytes")
      ->check(CLI::NonNegativeNumber);
  app.add_option("--length", options.length, "sequence length n")->check(CLI::Range(3, 1 << 24));
  app.add_option("--projected-length", options.projected_length, "projected length k")->check(CLI::PositiveNumber);
  app.add_option("--batch", options.batch, "sequences a step")->check(CLI::PositiveNumber);
  app.add_option("--steps", options.steps, "steps in all")->check(CLI::PositiveNumber);
  app.add_option("--warmup", options.warmup, "steps of warm-up")->check(CLI::NonNegativeNumber);
  app.add_option("--learning-rate", options.learning_rate, "at its peak")->check(CLI::PositiveNumber);
  app.add_option("--dropout", options.dropout, "probability")->check(CLI::Range(0.0, 0.99));
  app.add_option("--seed", options.seed, "of weights, order, masking and dropout");
  app.add_option("--threads", options.threads, "threads")->check(CLI::PositiveNumber);
  app.add_option("--save-every", options.save_every, "steps between checkpoints")->check(CLI::PositiveNumber);
  app.add_option("--evaluate-every", options.evaluate_every, "steps between evaluations")->check(CLI::PositiveNumber);
  app.add_flag("--recompute", options.recompute, "keep less in memory: activations are computed again in backward");
  CLI11_PARSE(app, argc, argv);
  stop_on_signals();
  try {
    return run(options);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
