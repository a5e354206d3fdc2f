#pragma once

#include "classifier_scores.hpp"
#include "training_options.hpp"

#include <cmath>
#include <cstdio>
#include <optional>
#include <string>
#include <vector>

// Training of a classifier: options, the task of a run, and the run.

/// What the best model is chosen by.
struct Metric {
  std::string name = "accuracy";  ///< or macro_f1, micro_f1, loss

  [[nodiscard]] bool larger_is_better() const { return name != "loss"; }
  [[nodiscard]] double of(const ClassifierScores& scores) const {
    if (name == "loss") return scores.loss;
    if (name == "macro_f1") return scores.macro_f1();
    return name == "micro_f1" ? scores.micro_f1() : scores.accuracy();
  }
};

/// How a classifier is trained.
struct ClassificationOptions : TrainingOptions {
  double warmup = 0.06, smoothing = 0;  ///< warmup: share of the steps
  linformer::Index epochs = 3, patience = 0;
  Metric metric;
  std::vector<float> class_weights;  ///< empty: none
  bool recompute = false;

  void add_to(CLI::App& app) {
    TrainingOptions::add_to(app);
    app.add_option("--epochs", epochs, "passes over the training data")->check(CLI::PositiveNumber);
    app.add_option("--steps", steps, "steps in all, instead of epochs; 0: epochs")->check(CLI::NonNegativeNumber);
    app.add_option("--warmup", warmup, "share of the steps")->check(CLI::Range(0.0, 1.0));
    app.add_option("--smoothing", smoothing, "of labels")->check(CLI::Range(0.0, 1.0));
    app.add_option("--patience", patience, "evaluations without a better one before the run stops; 0: never")
        ->check(CLI::NonNegativeNumber);
    app.add_option("--metric", metric.name, "of the validation, by which the best model is chosen and kept")
        ->check(CLI::IsMember({"accuracy", "macro_f1", "micro_f1", "loss"}));
    app.add_option("--evaluate-every", evaluate_every, "steps between evaluations; 0: an epoch")
        ->check(CLI::NonNegativeNumber);
    app.add_flag("--recompute", recompute, "keep less in memory: activations are computed again in backward");
  }

  [[nodiscard]] nlohmann::ordered_json settings() const {
    nlohmann::ordered_json result = TrainingOptions::settings();
    result["warmup"] = warmup;
    result["smoothing"] = smoothing;
    result["class_weights"] = class_weights;
    result["patience"] = patience;
    result["metric"] = metric.name;
    result["evaluate_every"] = evaluate_every;
    return result;
  }
};

/// The task of a `TrainingRun`.
class ClassificationTask {
 public:
  using Model = linformer::SequenceClassifier<float>;

  /// @param validation may be null
  ClassificationTask(const Model& model, const ClassificationOptions& options, const LabelledSequences& training,
                     const LabelledSequences* validation, const linformer::Execution& execution)
      : model_(model),
        options_(options),
        training_(training),
        validation_(validation),
        execution_(execution),
        order_(options.seed, lengths_of(training.sequences), {.samples = options.batch, .window = 50 * options.batch}),
        batches_an_epoch_(order_.epoch(0).batches()) {}

  [[nodiscard]] linformer::Index batches_an_epoch() const { return batches_an_epoch_; }

  linformer::Index prepare(std::uint64_t step) {
    const auto batches = static_cast<std::uint64_t>(batches_an_epoch_);
    const auto samples = order_.batch(step / batches, static_cast<linformer::Index>(step % batches));
    step_ = step;
    parts_ = MicroBatches(static_cast<linformer::Index>(samples.size()), options_.micro_batches);
    batches_.clear();
    linformer::Index tokens = 0;
    for (linformer::Index i = 0; i < parts_.parts; ++i) {
      batches_.push_back(training_.batch(
          samples.subspan(static_cast<std::size_t>(parts_.first(i)), static_cast<std::size_t>(parts_.count(i)))));
      tokens += batches_.back().tokens.layout.rows();
    }
    return tokens;
  }

  [[nodiscard]] linformer::Index micro_batches() const { return parts_.parts; }

  linformer::LossSum accumulate(linformer::Index i, Model& gradient) {
    const LabelledSequences::Batch& batch = batches_[static_cast<std::size_t>(i)];
    const linformer::EncoderOptions call{
        .dropout =
            linformer::DropoutAddress{
                .seed = options_.seed, .step = step_, .first_sample = static_cast<std::uint64_t>(parts_.first(i))},
        .recompute = options_.recompute};
    linformer::Matrix<float> logits = model_.forward(batch.tokens, call, &cache_, execution_);
    const linformer::LossSum loss = loss_gradient(logits, batch);
    model_.backward(batch.tokens, call, cache_, logits, gradient, execution_);
    return loss;
  }

  [[nodiscard]] Evaluation evaluate() {
    const ClassifierScores scores = score(model_, *validation_, options_.batch, execution_);
    char text[120];
    std::snprintf(text, sizeof text, "validation loss %.4f, accuracy %.4f, macro-F1 %.4f", scores.loss,
                  scores.accuracy(), scores.macro_f1());
    return {scores.loss,
            options_.metric.of(scores),
            {{"accuracy", scores.accuracy()},
             {"macro_f1", scores.macro_f1()},
             {"micro_f1", scores.micro_f1()},
             {"validation_loss", scores.loss},
             {"confusion", scores.confusion_json()}},
            text};
  }

 private:
  /// The sum of losses; its gradient takes the place of the logits.
  linformer::LossSum loss_gradient(linformer::Matrix<float>& logits, const LabelledSequences::Batch& batch) const {
    if (training_.multi_label()) {
      return linformer::sigmoid_loss_gradient<float>(logits, batch.targets(model_.classes()), 1.0,
                                                     {.positive_weights = options_.class_weights});
    }
    return linformer::cross_entropy_gradient<float>(
        logits, batch.labels, 1.0, {.smoothing = options_.smoothing, .class_weights = options_.class_weights});
  }

  const Model& model_;
  const ClassificationOptions& options_;
  const LabelledSequences& training_;
  const LabelledSequences* validation_;
  const linformer::Execution& execution_;
  linformer::SampleOrder order_;
  linformer::Index batches_an_epoch_;
  std::uint64_t step_ = 0;
  MicroBatches parts_;
  std::vector<LabelledSequences::Batch> batches_;
  Model::Cache cache_;
};

/// How a run ended.
struct ClassificationResult {
  std::uint64_t steps = 0, best_step = 0;
  double tokens_per_second = 0;  ///< of this process's steps
  nlohmann::ordered_json settings;
};

/// A whole run in a folder. At its end the model is the best by the metric, or the last without validation, and is
/// written. @param settings of the checkpoint, what the options do not say @param validation null for none
/// @return nothing if it was interrupted
inline std::optional<ClassificationResult> train_classifier(
    const std::string& name, linformer::SequenceClassifier<float>& model, const ClassificationOptions& options,
    nlohmann::ordered_json settings, const LabelledSequences& training, const LabelledSequences* validation,
    const std::string& folder, const linformer::Execution& execution) {
  linformer::detail::require(validation != nullptr || options.patience == 0,
                             linformer::ErrorCode::invalid_configuration, "patience", "validation data as well",
                             "none");
  ClassificationTask task(model, options, training, validation, execution);
  const std::int64_t steps = options.steps != 0 ? options.steps : options.epochs * task.batches_an_epoch();
  const std::int64_t every = options.evaluate_every != 0 ? options.evaluate_every : task.batches_an_epoch();
  settings["encoder"] = linformer::to_json(model.encoder().config());
  settings["training"] = training.fingerprint();
  settings["validation"] = validation != nullptr ? validation->fingerprint() : "none";
  settings.update(options.settings());
  settings["steps"] = steps;
  TrainingRun<linformer::SequenceClassifier<float>> run(
      model,
      {.name = name,
       .folder = folder,
       .settings = settings,
       .steps = steps,
       .save_every = options.save_every,
       .evaluate_every = validation != nullptr ? every : 0,
       .trainer = {.schedule = {.peak = options.learning_rate,
                                .warmup_steps = static_cast<std::int64_t>(options.warmup * static_cast<double>(steps)),
                                .total_steps = steps}},
       .keep_best = validation != nullptr,
       .stopping = {.patience = options.patience, .larger_is_better = options.metric.larger_is_better()}});
  std::printf("%td parameters, %td sequences a batch, %td batches an epoch, %lld steps.\n",
              linformer::parameter_count(model), options.batch, task.batches_an_epoch(), static_cast<long long>(steps));
  if (!run.train(task, execution.pool)) return std::nullopt;
  linformer::save_model(folder + "/model.safetensors", model, execution);
  linformer::write_file(folder + "/config.json", linformer::to_json(model.encoder().config()).dump(2) + "\n");
  return ClassificationResult{run.steps(), run.best_step(), run.tokens_per_second(), settings};
}

/// Prints scores and writes them to a folder's scores.json.
inline void report_scores(const ClassifierScores& scores, const std::vector<std::string>& names, const char* what,
                          const ClassificationResult& result, const std::string& folder) {
  std::printf("%s, model of step %llu:\n", what, static_cast<unsigned long long>(result.best_step));
  scores.print(names);
  nlohmann::ordered_json json = {{"data", what}};
  json.update(scores.to_json(names));
  json["seed"] = result.settings["seed"];
  json["steps"] = result.steps;
  json["best_step"] = result.best_step;
  json["tokens_per_second"] = result.tokens_per_second;
  json["settings"] = result.settings;
  linformer::write_file(folder + "/scores.json", json.dump(2) + "\n");
}
