// Trains a classifier on a table of texts and labels (TSV as GLUE's, or CSV), from a pretrained model or from nothing.
// Ctrl-C saves; the same command goes on where the run was, bit for bit.
#include <linformer/train/cross_entropy.hpp>
#include <linformer/train/sample_order.hpp>
#include <linformer/train/trainer.hpp>
#include <linformer/train/training_file.hpp>

#include "support/any_tokenizer.hpp"
#include "support/model_folder.hpp"
#include "support/progress.hpp"

#include <CLI/CLI.hpp>

#include <chrono>
#include <cstdio>
#include <set>

namespace {

using namespace linformer;

struct Options {
  std::string model, training, validation, output = "finetuned", text = "sentence", second, label = "label",
                                           pooling = "first_token";
  std::vector<std::string> labels;
  Index batch = 32, epochs = 3, threads = 2;
  std::int64_t steps = 0, save_every = 200;
  double learning_rate = 3e-4, warmup = 0.06, smoothing = 0;
  std::uint64_t seed = 1;
};

/// Texts as tokens, and their labels.
struct Samples {
  std::vector<std::vector<TokenId>> sequences;
  std::vector<std::int32_t> labels;
  Index cut = 0;  ///< texts longer than the model's length, of which the end was dropped
};

/// @param classes 0: as many as the labels say
Samples read_samples(const std::string& path, const Options& options, const AnyTokenizer& tokenizer, Index length,
                     Index classes) {
  const Dataset data = read_examples(path, {.first = options.text,
                                            .second = options.second,
                                            .label = options.label,
                                            .label_names = options.labels,
                                            .classes = static_cast<int>(classes),
                                            .on_malformed = OnMalformed::skip});
  Samples samples;
  for (const Example& example : data.examples) {
    EncodedText encoded = options.second.empty()
                              ? encode_text(tokenizer, example.first, {.length = length})
                              : encode_pair(tokenizer, example.first, example.second, {.length = length});
    samples.cut += encoded.dropped() > 0 ? 1 : 0;
    samples.sequences.push_back(std::move(encoded.sequences.front()));
    samples.labels.push_back(example.label);
  }
  std::printf("%s: %zu rows, %td of them cut to %td tokens, %td malformed and left out\n", path.c_str(),
              samples.labels.size(), samples.cut, length, data.report.malformed);
  for (const auto& what : data.report.first) {
    std::printf("  %s:%td: expected %s, got %s\n", what.file.c_str(), what.line, what.expected.c_str(),
                what.actual.c_str());
  }
  detail::require(!samples.labels.empty(), ErrorCode::malformed_input, path, "a row to learn from or to judge by",
                  "none");
  return samples;
}

std::vector<Index> lengths_of(const Samples& samples) {
  std::vector<Index> lengths;
  for (const auto& sequence : samples.sequences) lengths.push_back(static_cast<Index>(sequence.size()));
  return lengths;
}

struct LabelledBatch {
  TokenBatch tokens;
  std::vector<std::int32_t> labels;
};

LabelledBatch batch_of(const Samples& samples, std::span<const Index> chosen) {
  std::vector<std::vector<TokenId>> sequences;
  LabelledBatch batch;
  for (const Index sample : chosen) {
    sequences.push_back(samples.sequences[static_cast<std::size_t>(sample)]);
    batch.labels.push_back(samples.labels[static_cast<std::size_t>(sample)]);
  }
  batch.tokens = TokenBatch::from_sequences(sequences);
  return batch;
}

struct Scores {
  double accuracy = 0, macro_f1 = 0, loss = 0;
  std::vector<std::vector<Index>> confusion;  ///< actual by predicted
};

Scores evaluate(const SequenceClassifier<float>& model, const Samples& samples, Index batch,
                const Execution& execution) {
  const auto classes = static_cast<std::size_t>(model.classes());
  Scores scores;
  scores.confusion.assign(classes, std::vector<Index>(classes, 0));
  SampleOrder order(0, lengths_of(samples), {.samples = batch, .window = 1 << 20, .shuffle = false});
  LossSum loss;
  for (Index i = 0; i < order.epoch(0).batches(); ++i) {
    const LabelledBatch its = batch_of(samples, order.batch(0, i));
    const Matrix<float> logits = model.forward(its.tokens, {}, nullptr, execution);
    loss += cross_entropy<float>(logits, its.labels);
    for (Index row = 0; row < logits.rows(); ++row) {
      Index predicted = 0;
      logits.row(row).maxCoeff(&predicted);
      ++scores.confusion[static_cast<std::size_t>(its.labels[static_cast<std::size_t>(row)])]
                        [static_cast<std::size_t>(predicted)];
    }
  }
  Index right = 0, all = 0;
  for (std::size_t c = 0; c < classes; ++c) {
    Index actual = 0, predicted = 0;
    for (std::size_t other = 0; other < classes; ++other) {
      actual += scores.confusion[c][other];
      predicted += scores.confusion[other][c];
    }
    const Index hit = scores.confusion[c][c];
    right += hit;
    all += actual;
    if (actual + predicted > 0)
      scores.macro_f1 += 2.0 * static_cast<double>(hit) / static_cast<double>(actual + predicted);
  }
  scores.accuracy = static_cast<double>(right) / static_cast<double>(std::max(all, Index{1}));
  scores.macro_f1 /= static_cast<double>(classes);
  scores.loss = loss.mean();
  return scores;
}

int run(const Options& options) {
  const AnyTokenizer tokenizer = AnyTokenizer::of_folder(options.model);
  const EncoderConfig config = encoder_config_from_json(read_json(options.model + "/config.json"));
  const Samples training = read_samples(options.training, options, tokenizer, config.sequence_length, 0);
  ClassifierSettings kind{options.labels, options.pooling == "mean" ? Pooling::mean : Pooling::first_token,
                          !options.second.empty()};
  if (kind.labels.empty()) {
    const std::int32_t most = *std::max_element(training.labels.begin(), training.labels.end());
    for (std::int32_t label = 0; label <= most; ++label) kind.labels.push_back(std::to_string(label));
  }
  std::optional<Samples> validation;
  if (!options.validation.empty()) {
    validation = read_samples(options.validation, options, tokenizer, config.sequence_length,
                              static_cast<Index>(kind.labels.size()));
  }

  SequenceClassifier<float> model(config, static_cast<Index>(kind.labels.size()), kind.pooling, options.seed);
  load_part(SafetensorsFile::open(options.model + "/model.safetensors"), model.encoder());

  SampleOrder order(options.seed, lengths_of(training), {.samples = options.batch, .window = 50 * options.batch});
  const Index batches = order.epoch(0).batches();
  const std::int64_t steps = options.steps != 0 ? options.steps : options.epochs * batches;
  Trainer<float, SequenceClassifier<float>> trainer(
      model, {.schedule = {.peak = options.learning_rate,
                           .warmup_steps = static_cast<std::int64_t>(options.warmup * static_cast<double>(steps)),
                           .total_steps = steps}});

  std::filesystem::create_directories(options.output);
  const std::string state = options.output + "/training.safetensors", log = options.output + "/log.jsonl";
  nlohmann::ordered_json settings = {{"encoder", to_json(config)}, {"classifier", kind.to_json()}};
  settings["data"] = fingerprint_of(training.sequences, training.labels);
  settings["warmup"] = options.warmup;
  settings["batch"] = options.batch;
  settings["steps"] = steps;
  settings["learning_rate"] = options.learning_rate;
  settings["smoothing"] = options.smoothing;
  settings["seed"] = options.seed;
  if (std::filesystem::exists(state)) {
    load_training(SafetensorsFile::open(state), model, trainer.optimizer(), settings.dump());
    std::printf("Goes on at step %llu.\n", static_cast<unsigned long long>(trainer.steps()));
  }
  keep_log_until(log, trainer.steps());
  std::ofstream log_file(log, std::ios::app);
  const auto save = [&] { save_training(state, model, trainer.optimizer(), settings.dump()); };

  ThreadPool pool(options.threads);
  Workspace workspace;
  const Execution execution{pool, workspace, default_isa()};
  SequenceClassifier<float>::Cache cache;
  Progress progress("finetune", static_cast<double>(steps), "steps");
  while (trainer.steps() < static_cast<std::uint64_t>(steps) && !interrupted) {
    const std::uint64_t step = trainer.steps(), epoch = step / static_cast<std::uint64_t>(batches);
    const LabelledBatch batch = batch_of(training, order.batch(epoch, static_cast<Index>(step) % batches));
    const TrainingStep done = trainer.step(
        model, 1,
        [&](Index, SequenceClassifier<float>& gradient) {
          const EncoderOptions training_call{.dropout = DropoutAddress{.seed = options.seed, .step = step}};
          Matrix<float> logits = model.forward(batch.tokens, training_call, &cache, execution);
          const LossSum loss =
              cross_entropy_gradient<float>(logits, batch.labels, 1.0, {.smoothing = options.smoothing});
          model.backward(batch.tokens, training_call, cache, logits, gradient, execution);
          return loss;
        },
        pool);
    nlohmann::ordered_json line = {
        {"step", step + 1}, {"loss", done.loss.mean()}, {"learning_rate", done.learning_rate}};
    const bool last = step + 1 == static_cast<std::uint64_t>(steps);
    if (validation && ((step + 1) % static_cast<std::uint64_t>(batches) == 0 || last)) {
      const Scores scores = evaluate(model, *validation, options.batch, execution);
      line["accuracy"] = scores.accuracy;
      line["macro_f1"] = scores.macro_f1;
      line["validation_loss"] = scores.loss;
      line["confusion"] = scores.confusion;
      std::printf("step %llu: validation loss %.4f, accuracy %.4f, macro-F1 %.4f\n",
                  static_cast<unsigned long long>(step + 1), scores.loss, scores.accuracy, scores.macro_f1);
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
  write_file(options.output + "/classifier.json", kind.to_json().dump(2) + "\n");
  const std::string pieces = options.model + "/" + AnyTokenizer::file_name;
  if (std::filesystem::exists(pieces)) write_file(options.output + "/" + AnyTokenizer::file_name, read_file(pieces));
  std::printf("%s/model.safetensors and what belongs to it written.\n", options.output.c_str());
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  CLI::App app(
      "Trains a classifier on a table of texts and labels, from a pretrained model; the same command resumes it.");
  app.option_defaults()->always_capture_default();
  app.add_option("model", options.model, "folder that pretrain wrote")->required()->check(CLI::ExistingDirectory);
  app.add_option("training", options.training, "TSV or CSV with a header")->required()->check(CLI::ExistingFile);
  app.add_option("--validation", options.validation, "table that is not trained on")->check(CLI::ExistingFile);
  app.add_option("--output", options.output, "folder for the classifier and the log");
  app.add_option("--text", options.text, "column of the text");
  app.add_option("--second", options.second, "column of a second text");
  app.add_option("--label", options.label, "column of the label");
  app.add_option("--labels", options.labels, "names of the labels, where the column does not hold numbers");
  app.add_option("--pooling", options.pooling, "what is classified")->check(CLI::IsMember({"first_token", "mean"}));
  app.add_option("--batch", options.batch, "texts a step")->check(CLI::PositiveNumber);
  app.add_option("--epochs", options.epochs, "passes over the table")->check(CLI::PositiveNumber);
  app.add_option("--steps", options.steps, "steps in all, instead of epochs")->check(CLI::NonNegativeNumber);
  app.add_option("--learning-rate", options.learning_rate, "at its peak")->check(CLI::PositiveNumber);
  app.add_option("--warmup", options.warmup, "share of the steps")->check(CLI::Range(0.0, 1.0));
  app.add_option("--smoothing", options.smoothing, "of labels")->check(CLI::Range(0.0, 1.0));
  app.add_option("--seed", options.seed, "of the head, order and dropout");
  app.add_option("--threads", options.threads, "threads")->check(CLI::PositiveNumber);
  app.add_option("--save-every", options.save_every, "steps between checkpoints")->check(CLI::PositiveNumber);
  CLI11_PARSE(app, argc, argv);
  stop_on_signals();
  try {
    return run(options);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
