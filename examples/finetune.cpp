// Trains a classifier on texts and labels (TSV as GLUE's, CSV, or IMDB's folders), from a pretrained model or from
// nothing. Ctrl-C saves; the same command goes on where the run was, bit for bit.
#include "support/classification.hpp"
#include "support/labelled_texts.hpp"

namespace {

using namespace linformer;

struct Options : ClassificationOptions {
  std::string model, validation, output = "finetuned", pooling = "first_token";
  std::vector<std::string> training, told_weights;
  LabelledTextOptions texts;
  double validation_share = 0;
  bool from_scratch = false;

  Options() {
    batch = 32;
    learning_rate = 3e-4;
  }
};

/// Names of the classes: those told, those of IMDB's folders, or the numbers up to the largest label.
/// @throws Error out_of_range for a number that hardly is one of a class
std::vector<std::string> label_names(const Options& options, const LabelledSequences& samples) {
  if (!options.texts.labels.empty()) return options.texts.labels;
  if (std::all_of(options.training.begin(), options.training.end(), is_imdb_split)) return {"neg", "pos"};
  std::vector<std::string> names;
  std::int32_t most = 0;
  for (const std::int32_t label : samples.labels) most = std::max(most, label);
  for (const auto& list : samples.label_lists) most = list.empty() ? most : std::max(most, list.back());
  detail::require(most < 100000, ErrorCode::out_of_range, "label", "a class below 100000, or names by --labels",
                  std::to_string(most));
  for (std::int32_t label = 0; label <= most; ++label) names.push_back(std::to_string(label));
  return names;
}

int run(Options& options, ProgramWorld world) {
  detail::require(!options.texts.multi_label || options.smoothing == 0, ErrorCode::unsupported, "smoothing",
                  "none of several labels", std::to_string(options.smoothing));
  const EncoderConfig config =
      options.from_scratch ? read_encoder_config(options.model + "/config.json") : read_model_config(options.model);
  const AnyTokenizer tokenizer = AnyTokenizer::of_model(options.model, config.vocabulary_size);
  const Index length = config.sequence_length;
  options.texts.token_types = config.token_types > 1;
  LabelledSequences training;
  for (const std::string& path : options.training) {
    read_labelled(path, options.texts, tokenizer, length, 0, training);
  }
  const ClassifierSettings kind{label_names(options, training),
                                options.pooling == "mean" ? Pooling::mean : Pooling::first_token,
                                !options.texts.second.empty(), options.texts.multi_label};
  const auto classes = static_cast<Index>(kind.labels.size());
  std::optional<LabelledSequences> validation;
  if (!options.validation.empty()) {
    read_labelled(options.validation, options.texts, tokenizer, length, classes, validation.emplace());
  } else if (options.validation_share > 0) {
    validation = hold_out(training, options.validation_share, options.seed);
  }
  options.class_weights = class_weights(options.told_weights, training, kind.labels.size());

  SequenceClassifier<float> model(config, classes, kind.pooling, options.seed);
  if (!options.from_scratch) {
    const auto aside = load_part(SafetensorsFile::open(options.model + "/model.safetensors"), model.encoder());
    if (world.rank() == 0) tell_aside(aside);
  }
  ThreadPool pool(options.threads);
  Workspace workspace;
  const Execution execution{pool, workspace, default_isa()};
  const LabelledSequences* const judge = validation ? &*validation : nullptr;
  const auto result = train_classifier("finetune", model, options,
                                       {{"classifier", kind.to_json()}, {"from_scratch", options.from_scratch}},
                                       training, judge, options.output, execution, world);
  if (!result) return 130;
  if (world.rank() == 0) {
    write_file(options.output + "/classifier.json", kind.to_json().dump(2) + "\n");
    AnyTokenizer::copy_files(options.model, options.output);
  }
  if (validation) {
    const ClassifierScores scores =
        result->scores ? *result->scores : score(model, *validation, options.batch, execution, world);
    if (world.rank() == 0) report_scores(scores, kind.labels, "validation", *result, options.output);
  }
  std::printf("%s/model.safetensors and what belongs to it written.\n", options.output.c_str());
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  CLI::App app(
      "Trains a classifier on texts and labels, from a pretrained model; the same command resumes it. With validation "
      "data, the model that is written is the best by --metric, and scores.json tells how good it is.");
  app.option_defaults()->always_capture_default();
  app.add_option("model", options.model, "folder that pretrain, convert or distill wrote")
      ->required()
      ->check(CLI::ExistingDirectory);
  app.add_option("training", options.training,
                 "TSV or CSV with a header, or a folder with pos/ and neg/ (IMDB); several are put together")
      ->required()
      ->check(CLI::ExistingPath);
  auto* const validation =
      app.add_option("--validation", options.validation, "the same, that is not trained on")->check(CLI::ExistingPath);
  app.add_option("--validation-share", options.validation_share, "share of the training rows to hold out, by --seed")
      ->check(CLI::Range(0.0, 0.99))
      ->excludes(validation);
  app.add_option("--output", options.output, "folder for the classifier, the scores and the log");
  app.add_option("--text", options.texts.text, "column of the text");
  app.add_option("--second", options.texts.second,
                 "column of a second text, whose tokens have type 1 where the model has types, as BERT does");
  app.add_option("--label", options.texts.label, "column of the label");
  app.add_option("--labels", options.texts.labels, "names of the labels, where the column does not hold numbers");
  app.add_flag("--multi-label", options.texts.multi_label,
               "the label column holds any number of labels, with | or , between: a sigmoid loss for each");
  app.add_option("--class-weights", options.told_weights, "of the loss: a number a class, or 'balanced' by their rows");
  app.add_option("--pooling", options.pooling, "what is classified")->check(CLI::IsMember({"first_token", "mean"}));
  app.add_flag("--from-scratch", options.from_scratch, "only the configuration and tokenizer of the model, no weights");
  options.add_to(app);
  return run_program(app, argc, argv, [&](const ProgramWorld& world) { return run(options, world); });
}
