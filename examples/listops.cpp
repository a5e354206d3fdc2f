// Trains a classifier on ListOps as the Long Range Arena (Tay et al. 2020, arXiv 2011.04006) samples it: the value, 0
// to 9, of nested operations on digits. Ctrl-C saves; the same command goes on where the run was, bit for bit.
#include "support/classification.hpp"
#include "support/encoder_choice.hpp"

#include <linformer/text/listops_generator.hpp>

namespace {

using namespace linformer;

/// Begins a sequence, for the classifier to read.
constexpr TokenId begin_token = listops_pad + 1;

struct Options : ClassificationOptions {
  EncoderChoice encoder;
  ListOpsConfig trees;
  Index training = 2000, validation = 200, test = 200;
  std::string output = "listops", pooling = "mean";
  bool full = false;

  Options() {
    batch = 32;
    encoder.dropout = 0;
    epochs = 10;
    encoder.projected_length = 128;
  }
};

LabelledSequences labelled(std::span<const ListOpsSample> samples) {
  LabelledSequences result;
  for (const ListOpsSample& sample : samples) {
    std::vector<TokenId>& sequence = result.sequences.emplace_back(1, begin_token);
    sequence.insert(sequence.end(), sample.tokens.begin(), sample.tokens.end());
    result.labels.push_back(sample.label);
  }
  return result;
}

int run(Options& options, ProgramWorld world) {
  if (options.full) options.training = 96000, options.validation = options.test = 2000;
  options.encoder.length = options.trees.max_length;  // expressions are shorter, and begin with a token of ours
  options.encoder.projected_length = std::min(options.encoder.projected_length, options.encoder.length);
  const EncoderConfig config = options.encoder.config(begin_token + 1);

  // Those to judge by come first: they stay the same however many are trained on.
  std::printf("Drawing %td trees of more than %td and fewer than %td tokens.\n",
              options.training + options.validation + options.test, options.trees.min_length, options.trees.max_length);
  std::fflush(stdout);
  const std::vector<ListOpsSample> samples =
      listops_samples(options.trees, options.training + options.validation + options.test);
  const auto part = [&, all = std::span(samples)](Index first, Index count) {
    return labelled(all.subspan(static_cast<std::size_t>(first), static_cast<std::size_t>(count)));
  };
  const LabelledSequences validation = part(0, options.validation), test = part(options.validation, options.test);
  const LabelledSequences training = part(options.validation + options.test, options.training);

  std::vector<std::string> names;
  for (int digit = 0; digit < 10; ++digit) names.push_back(std::to_string(digit));
  SequenceClassifier<float> model(config, 10, options.pooling == "mean" ? Pooling::mean : Pooling::first_token,
                                  options.seed);
  ThreadPool pool(options.threads);
  Workspace workspace;
  const Execution execution{pool, workspace, default_isa()};
  const auto result = train_classifier("listops", model, options, {{"pooling", options.pooling}}, training, &validation,
                                       options.output, execution, world);
  if (!result) return 130;
  const ClassifierScores scores = score(model, test, options.batch, execution, world);
  if (world.rank() == 0) report_scores(scores, names, "test", *result, options.output);
  std::printf("%s/model.safetensors, config.json, scores.json and log.jsonl written.\n", options.output.c_str());
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  CLI::App app(
      "Trains a classifier on ListOps as the Long Range Arena samples it; the same command resumes it. The model that "
      "is "
      "kept is the best by --metric on validation trees; scores.json tells how good it is on test trees.");
  app.option_defaults()->always_capture_default();
  app.add_option("--output", options.output, "folder for the checkpoint, the model, the scores and the log");
  app.add_option("--trees", options.training, "expressions to train on")->check(CLI::PositiveNumber);
  app.add_option("--validation-trees", options.validation, "to choose the model by")->check(CLI::PositiveNumber);
  app.add_option("--test-trees", options.test, "to judge the model by")->check(CLI::PositiveNumber);
  app.add_flag("--full", options.full, "as many as the Long Range Arena: 96,000, 2,000 and 2,000");
  app.add_option("--min-length", options.trees.min_length, "expressions have more tokens than this")
      ->check(CLI::NonNegativeNumber);
  app.add_option("--max-length", options.trees.max_length, "and fewer than this; sequence length n")
      ->check(CLI::Range(2, 1 << 24));
  app.add_option("--max-depth", options.trees.max_depth, "of nested operations")->check(CLI::PositiveNumber);
  app.add_option("--max-arguments", options.trees.max_arguments, "of an operation")->check(CLI::Range(2, 1 << 16));
  app.add_option("--data-seed", options.trees.seed, "of the expressions");
  app.add_option("--pooling", options.pooling, "what is classified")->check(CLI::IsMember({"first_token", "mean"}));
  options.encoder.add_to(app);
  options.add_to(app);
  return run_program(app, argc, argv, [&](const ProgramWorld& world) { return run(options, world); });
}
