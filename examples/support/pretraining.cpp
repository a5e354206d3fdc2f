#include "pretraining.hpp"

#include <linformer/io.hpp>
#include <linformer/model/config_json.hpp>
#include <linformer/model/model_file.hpp>
#include <linformer/train/masked_language_loss.hpp>
#include <linformer/train/sample_order.hpp>

#include "model_folder.hpp"
#include "training_run.hpp"

Sequences read_sequences(const AnyTokenizer& tokenizer, const std::vector<std::string>& files,
                         linformer::Index length) {
  Sequences sequences;
  for (const std::string& file : files) {
    const std::string text = linformer::read_file(file);
    if (text.empty()) continue;
    linformer::EncodedText encoded =
        linformer::encode_text(tokenizer, text, {.length = length, .on_too_long = linformer::OnTooLong::windows});
    for (auto& sequence : encoded.sequences) sequences.push_back(std::move(sequence));
  }
  linformer::detail::require(!sequences.empty(), linformer::ErrorCode::malformed_input,
                             files.empty() ? "files" : files.front(), "text", "none");
  return sequences;
}

namespace {

/// Sequences as batches, hidden anew in each epoch.
class MaskedSequences {
 public:
  struct Batch {
    linformer::BatchLayout layout;
    linformer::MaskedTokens masked;
  };

  MaskedSequences(const AnyTokenizer& tokenizer, Sequences sequences, std::uint64_t seed, linformer::Index batch,
                  bool shuffle)
      : sequences_(std::move(sequences)),
        seed_(seed),
        masking_({.vocabulary = static_cast<std::int32_t>(tokenizer.vocabulary_size()),
                  .mask_id = tokenizer.special_tokens().mask,
                  .special_ids = {0, 1, 2, 3}}),
        order_(seed_, lengths_of(sequences_), {.samples = batch, .shuffle = shuffle}),
        batches_(order_.epoch(0).batches()) {}

  [[nodiscard]] std::string fingerprint() const { return fingerprint_of(sequences_, {}); }
  [[nodiscard]] linformer::Index batches() const { return batches_; }
  [[nodiscard]] std::span<const linformer::Index> samples(std::uint64_t epoch, linformer::Index i) {
    return order_.batch(epoch, i);
  }
  [[nodiscard]] linformer::Index tokens(std::span<const linformer::Index> samples) const {
    return tokens_of(sequences_, samples);
  }
  [[nodiscard]] Batch batch(std::span<const linformer::Index> samples, std::uint64_t epoch) const {
    Sequences chosen;
    for (const linformer::Index sample : samples) chosen.push_back(sequences_[static_cast<std::size_t>(sample)]);
    linformer::TokenBatch tokens = linformer::TokenBatch::from_sequences(chosen);
    linformer::MaskedTokens masked = masking_.apply(tokens.ids, tokens.layout, samples, seed_, epoch);
    return {std::move(tokens.layout), std::move(masked)};
  }

 private:
  Sequences sequences_;
  std::uint64_t seed_;
  linformer::TokenMasking masking_;
  linformer::SampleOrder order_;
  linformer::Index batches_;
};

/// The task of a `TrainingRun`.
class MaskedLanguageTask {
 public:
  using Model = linformer::MaskedLanguageModel<float>;

  /// @param validation may be null
  MaskedLanguageTask(const Model& model, const PretrainingOptions& options, MaskedSequences& training,
                     MaskedSequences* validation, const linformer::Execution& execution, ProgramWorld world)
      : model_(model),
        options_(options),
        training_(training),
        validation_(validation),
        execution_(execution),
        world_(std::move(world)) {}

  linformer::Index prepare(std::uint64_t step) {
    const auto batches = static_cast<std::uint64_t>(training_.batches());
    const std::uint64_t epoch = step / batches;
    const auto samples = training_.samples(epoch, static_cast<linformer::Index>(step % batches));
    step_ = step;
    parts_ = MicroBatches(static_cast<linformer::Index>(samples.size()), options_.micro_batches, world_);
    batches_.clear();
    for (linformer::Index i = 0; i < parts_.parts; ++i) {
      batches_.push_back(training_.batch(parts_.of(samples, i), epoch));
    }
    return training_.tokens(samples);
  }

  [[nodiscard]] linformer::Index micro_batches() const { return parts_.parts; }

  linformer::LossSum accumulate(linformer::Index i, Model& gradient, const OnLayerDone& on_layer_done) {
    const MaskedSequences::Batch& batch = batches_[static_cast<std::size_t>(i)];
    const linformer::DropoutAddress dropout{
        .seed = options_.seed, .step = step_, .first_sample = static_cast<std::uint64_t>(parts_.first(i))};
    const linformer::EncoderOptions call{
        .dropout = dropout, .recompute = options_.recompute, .on_layer_done = on_layer_done};
    return linformer::masked_language_gradient(model_, batch.layout, batch.masked, call, 1.0, cache_, gradient,
                                               execution_);
  }

  /// Mean loss of the masked tokens of all validation batches, hidden as in epoch 0. Processes share them out.
  [[nodiscard]] Evaluation evaluate() {
    linformer::LossSum sum;
    const auto own = linformer::part_of_rank(validation_->batches(), world_.rank(), world_.size());
    for (linformer::Index i = own.begin; i < own.end; ++i) {
      const MaskedSequences::Batch batch = validation_->batch(validation_->samples(0, i), 0);
      sum += linformer::masked_language_loss(model_, batch.layout, batch.masked, execution_);
    }
    const double loss = linformer::sum_over(world_, sum).mean();
    char text[80];
    std::snprintf(text, sizeof text, "validation loss %.4f, perplexity %.2f", loss, std::exp(loss));
    return {loss, loss, {{"validation_loss", loss}, {"perplexity", std::exp(loss)}}, text};
  }

 private:
  const Model& model_;
  const PretrainingOptions& options_;
  MaskedSequences& training_;
  MaskedSequences* validation_;
  const linformer::Execution& execution_;
  ProgramWorld world_;
  std::uint64_t step_ = 0;
  MicroBatches parts_;
  std::vector<MaskedSequences::Batch> batches_;
  linformer::EncoderCache<float> cache_;
};

}  // namespace

std::optional<PretrainingResult> pretrain(const std::string& name, const PretrainingOptions& options,
                                          const AnyTokenizer& tokenizer, Sequences training_sequences,
                                          Sequences validation_sequences, const std::string& folder,
                                          ProgramWorld world) {
  const linformer::EncoderConfig config = options.encoder.config(tokenizer.vocabulary_size());
  MaskedSequences training(tokenizer, std::move(training_sequences), options.seed, options.batch, /*shuffle=*/true);
  const bool judged = !validation_sequences.empty();
  MaskedSequences validation(tokenizer, std::move(validation_sequences), options.seed, options.batch,
                             /*shuffle=*/false);
  nlohmann::ordered_json settings = options.settings();
  settings["encoder"] = linformer::to_json(config);
  settings["vocabulary"] = options.vocabulary;
  settings["data"] = training.fingerprint();
  settings["warmup"] = options.warmup;

  linformer::MaskedLanguageModel<float> model(config, options.seed);
  TrainingRun<linformer::MaskedLanguageModel<float>> run(model,
                                                         {.name = name,
                                                          .folder = folder,
                                                          .settings = settings,
                                                          .steps = options.steps,
                                                          .save_every = options.save_every,
                                                          .evaluate_every = judged ? options.evaluate_every : 0,
                                                          .trainer = {.schedule = {.peak = options.learning_rate,
                                                                                   .warmup_steps = options.warmup,
                                                                                   .total_steps = options.steps},
                                                                      .shard_optimizer = options.shard_optimizer}},
                                                         world);
  std::printf("%td parameters, %td sequences a batch, %td batches an epoch.\n", linformer::parameter_count(model),
              options.batch, training.batches());
  std::fflush(stdout);
  linformer::ThreadPool pool(options.threads);
  linformer::Workspace workspace;
  const linformer::Execution execution{pool, workspace, linformer::default_isa()};
  MaskedLanguageTask task(model, options, training, judged ? &validation : nullptr, execution, world);
  if (!run.train(task, pool)) return std::nullopt;
  if (world.rank() == 0) {
    linformer::save_model(folder + "/model.safetensors", model, execution);
    linformer::write_file(folder + "/config.json", linformer::to_json(config).dump(2) + "\n");
  }
  return PretrainingResult{config, linformer::parameter_count(model)};
}
