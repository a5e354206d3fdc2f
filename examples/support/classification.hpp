#pragma once

#include "classifier_scores.hpp"
#include "training_options.hpp"

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

/// How a run ended.
struct ClassificationResult {
  std::uint64_t steps = 0, best_step = 0;
  double tokens_per_second = 0;  ///< of this start's steps, in all processes
  nlohmann::ordered_json settings;
  std::optional<ClassifierScores> scores;  ///< of the model on the validation data, where the run ended with them
};

/// A whole run in a folder, which the first process writes. At its end the model is the best by the metric, or the last
/// without validation, and is written. @param settings of the checkpoint, what the options do not say @param validation
/// null for none
/// @return nothing if it was interrupted
std::optional<ClassificationResult> train_classifier(const std::string& name,
                                                     linformer::SequenceClassifier<float>& model,
                                                     const ClassificationOptions& options,
                                                     nlohmann::ordered_json settings, const LabelledSequences& training,
                                                     const LabelledSequences* validation, const std::string& folder,
                                                     const linformer::Execution& execution, ProgramWorld world);

/// Prints scores and writes them to a folder's scores.json.
void report_scores(const ClassifierScores& scores, const std::vector<std::string>& names, const char* what,
                   const ClassificationResult& result, const std::string& folder);
