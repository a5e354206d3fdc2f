#include "classification.hpp"

#include <linformer/io.hpp>
#include <linformer/model/config_json.hpp>
#include <linformer/model/model_file.hpp>
#include <linformer/train/cross_entropy.hpp>
#include <linformer/train/sample_order.hpp>
#include <linformer/train/sigmoid_loss.hpp>

#include "training_run.hpp"

#include <cstdio>

namespace {

/// Takes up the rows of a batch. A label of several is told where its logit is above 0, a probability of one half.
linformer::LossSum add_rows(const linformer::Matrix<float>& logits, const LabelledSequences::Batch& batch,
                            ClassifierScores& scores) {
  const linformer::Index classes = logits.cols();
  scores.rows += logits.rows();
  if (scores.confusion) {
    for (linformer::Index row = 0; row < logits.rows(); ++row) {
      linformer::Index predicted = 0;
      logits.row(row).maxCoeff(&predicted);
      scores.confusion->add(batch.labels[static_cast<std::size_t>(row)], static_cast<std::int32_t>(predicted));
    }
    return linformer::cross_entropy<float>(logits, batch.labels);
  }
  const std::vector<std::uint8_t> targets = batch.targets(classes);
  for (linformer::Index row = 0; row < logits.rows(); ++row) {
    bool all = true;
    for (linformer::Index c = 0; c < classes; ++c) {
      const bool actual = targets[static_cast<std::size_t>(row * classes + c)] == 1, predicted = logits(row, c) > 0;
      scores.counts[static_cast<std::size_t>(c)] += {actual, predicted, actual && predicted};
      all = all && actual == predicted;
    }
    scores.right += all ? 1 : 0;
  }
  return linformer::sigmoid_loss<float>(logits, targets);
}

/// Takes up what the other processes have found.
void merge(ProgramWorld& world, ClassifierScores& scores, linformer::LossSum& loss) {
  loss = linformer::sum_over(world, loss);
  std::vector<double> numbers;  // whole, and far below 2^53
  const auto for_each_number = [&](const auto& f) {
    f(scores.rows);
    f(scores.right);
    for (auto& counts : scores.counts) f(counts.actual), f(counts.predicted), f(counts.hits);
  };
  for_each_number([&](linformer::Index number) { numbers.push_back(static_cast<double>(number)); });
  world.sum(std::span(numbers));
  auto next = numbers.begin();
  for_each_number([&](linformer::Index& number) { number = static_cast<linformer::Index>(*next++); });
  if (!scores.confusion) return;
  const auto classes = static_cast<std::int32_t>(scores.confusion->classes());
  numbers.clear();
  for (std::int32_t actual = 0; actual < classes; ++actual) {
    for (std::int32_t predicted = 0; predicted < classes; ++predicted) {
      numbers.push_back(static_cast<double>((*scores.confusion)(actual, predicted)));
    }
  }
  world.sum(std::span(numbers));
  scores.confusion.emplace(classes);
  for (std::int32_t actual = 0; actual < classes; ++actual) {
    for (std::int32_t predicted = 0; predicted < classes; ++predicted) {
      const double rows = numbers[static_cast<std::size_t>(actual * classes + predicted)];
      scores.confusion->add(actual, predicted, static_cast<linformer::Index>(rows));
    }
  }
}

/// The task of a `TrainingRun`.
class ClassificationTask {
 public:
  using Model = linformer::SequenceClassifier<float>;

  /// @param validation may be null
  ClassificationTask(const Model& model, const ClassificationOptions& options, const LabelledSequences& training,
                     const LabelledSequences* validation, const linformer::Execution& execution, ProgramWorld world)
      : model_(model),
        options_(options),
        training_(training),
        validation_(validation),
        execution_(execution),
        world_(std::move(world)),
        order_(options.seed, lengths_of(training.sequences), {.samples = options.batch, .window = 50 * options.batch}),
        batches_an_epoch_(order_.epoch(0).batches()) {}

  [[nodiscard]] linformer::Index batches_an_epoch() const { return batches_an_epoch_; }

  linformer::Index prepare(std::uint64_t step) {
    const auto batches = static_cast<std::uint64_t>(batches_an_epoch_);
    const auto samples = order_.batch(step / batches, static_cast<linformer::Index>(step % batches));
    step_ = step;
    parts_ = MicroBatches(static_cast<linformer::Index>(samples.size()), options_.micro_batches, world_);
    batches_.clear();
    for (linformer::Index i = 0; i < parts_.parts; ++i) batches_.push_back(training_.batch(parts_.of(samples, i)));
    return training_.tokens(samples);
  }

  [[nodiscard]] linformer::Index micro_batches() const { return parts_.parts; }

  linformer::LossSum accumulate(linformer::Index i, Model& gradient, const OnLayerDone& on_layer_done) {
    const LabelledSequences::Batch& batch = batches_[static_cast<std::size_t>(i)];
    const linformer::EncoderOptions call{
        .dropout =
            linformer::DropoutAddress{
                .seed = options_.seed, .step = step_, .first_sample = static_cast<std::uint64_t>(parts_.first(i))},
        .recompute = options_.recompute,
        .on_layer_done = on_layer_done};
    linformer::Matrix<float> logits = model_.forward(batch.tokens, call, &cache_, execution_);
    const linformer::LossSum loss = loss_gradient(logits, batch);
    model_.backward(batch.tokens, call, cache_, logits, gradient, execution_);
    return loss;
  }

  [[nodiscard]] Evaluation evaluate() {
    scored_steps_ = step_ + 1;
    const ClassifierScores& scores = scores_ = score(model_, *validation_, options_.batch, execution_, world_);
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

  /// What the last evaluation found, if it was after so many steps.
  [[nodiscard]] std::optional<ClassifierScores> scores_after(std::uint64_t steps) const {
    return scored_steps_ == steps && steps > 0 ? std::optional(scores_) : std::nullopt;
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
  ProgramWorld world_;
  linformer::SampleOrder order_;
  linformer::Index batches_an_epoch_;
  std::uint64_t step_ = 0, scored_steps_ = 0;
  ClassifierScores scores_;
  MicroBatches parts_;
  std::vector<LabelledSequences::Batch> batches_;
  Model::Cache cache_;
};

}  // namespace

ClassifierScores score(const linformer::SequenceClassifier<float>& model, const LabelledSequences& samples,
                       linformer::Index batch, const linformer::Execution& execution, ProgramWorld world) {
  ClassifierScores scores;
  if (!samples.multi_label()) scores.confusion.emplace(model.classes());
  scores.counts.resize(static_cast<std::size_t>(model.classes()));
  linformer::SampleOrder order(0, lengths_of(samples.sequences),
                               {.samples = batch, .window = 1 << 20, .shuffle = false});
  linformer::LossSum loss;
  const linformer::Part own = linformer::part_of_rank(order.epoch(0).batches(), world.rank(), world.size());
  for (linformer::Index i = own.begin; i < own.end; ++i) {
    const LabelledSequences::Batch its = samples.batch(order.batch(0, i));
    loss += add_rows(model.forward(its.tokens, {}, nullptr, execution), its, scores);
  }
  merge(world, scores, loss);
  if (scores.confusion) {
    scores.counts = scores.confusion->counts();
    for (const auto& counts : scores.counts) scores.right += counts.hits;
  }
  scores.loss = loss.mean();
  return scores;
}

std::optional<ClassificationResult> train_classifier(const std::string& name,
                                                     linformer::SequenceClassifier<float>& model,
                                                     const ClassificationOptions& options,
                                                     nlohmann::ordered_json settings, const LabelledSequences& training,
                                                     const LabelledSequences* validation, const std::string& folder,
                                                     const linformer::Execution& execution, ProgramWorld world) {
  linformer::detail::require(validation != nullptr || options.patience == 0,
                             linformer::ErrorCode::invalid_configuration, "patience", "validation data as well",
                             "none");
  ClassificationTask task(model, options, training, validation, execution, world);
  const std::int64_t steps = options.steps != 0 ? options.steps : options.epochs * task.batches_an_epoch();
  const std::int64_t every = options.evaluate_every != 0 ? options.evaluate_every : task.batches_an_epoch();
  settings["model"] = fingerprint_of(model);
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
                                .total_steps = steps},
                   .shard_optimizer = options.shard_optimizer},
       .keep_best = validation != nullptr,
       .stopping = {.patience = options.patience, .larger_is_better = options.metric.larger_is_better()}},
      world);
  std::printf("%td parameters, %td sequences a batch, %td batches an epoch, %lld steps.\n",
              linformer::parameter_count(model), options.batch, task.batches_an_epoch(), static_cast<long long>(steps));
  std::fflush(stdout);
  if (!run.train(task, execution.pool)) return std::nullopt;
  if (world.rank() == 0) {
    linformer::save_model(folder + "/model.safetensors", model, execution);
    linformer::write_file(folder + "/config.json", linformer::to_json(model.encoder().config()).dump(2) + "\n");
  }
  return ClassificationResult{run.steps(), run.best_step(), run.tokens_per_second(), settings,
                              task.scores_after(run.best_step())};
}

void report_scores(const ClassifierScores& scores, const std::vector<std::string>& names, const char* what,
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
