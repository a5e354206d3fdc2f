// What training.py calls: training steps of this library's masked language model behind a C interface. Compiled without
// any instruction-set flag.

#include <linformer/train/masked_language_loss.hpp>
#include <linformer/train/trainer.hpp>

#include <memory>
#include <numeric>
#include <vector>

namespace {

using linformer::Index;
using Model = linformer::MaskedLanguageModel<float>;

struct Run {
  Run(const linformer::EncoderConfig& config, int threads, Index batch)
      : model(config, 1),
        trainer(model, {.schedule = {.kind = linformer::ScheduleKind::constant, .peak = 1e-4}}),
        pool(threads),
        layout(linformer::BatchLayout::from_lengths(
            std::vector<Index>(static_cast<std::size_t>(batch), config.sequence_length))),
        masking({.vocabulary = static_cast<std::int32_t>(config.vocabulary_size),
                 .mask_id = 4,
                 .special_ids = {0, 1, 2, 3}}) {
    samples.resize(static_cast<std::size_t>(batch));
    std::iota(samples.begin(), samples.end(), Index{0});
  }

  Model model;
  linformer::Trainer<float, Model> trainer;
  linformer::ThreadPool pool;
  linformer::Workspace workspace;
  linformer::EncoderCache<float> cache;
  linformer::BatchLayout layout;
  linformer::TokenMasking masking;
  std::vector<Index> samples;
};

}  // namespace

extern "C" {

/// Null on failure.
void* linformer_training_create(long n, long layers, long width, long heads, long vocabulary, long k, int softmax,
                                int threads, long batch, double dropout) try {
  return std::make_unique<Run>(linformer::EncoderConfig{.vocabulary_size = vocabulary,
                                                        .sequence_length = n,
                                                        .layers = layers,
                                                        .model_width = width,
                                                        .heads = heads,
                                                        .mechanism = softmax != 0 ? linformer::Mechanism::softmax_tiled
                                                                                  : linformer::Mechanism::linformer,
                                                        .projected_length = k,
                                                        .sharing = linformer::Sharing::key_value,
                                                        .dropout = dropout,
                                                        .attention_dropout = dropout},
                               threads, batch)
      .release();
} catch (...) {
  return nullptr;
}

/// One step on batch · n tokens: masking, forward, backward, clipping, AdamW. The mean loss, or NaN on failure.
double linformer_training_step(void* run, const std::int32_t* ids) try {
  auto& self = *static_cast<Run*>(run);
  const std::span<const std::int32_t> tokens(ids, static_cast<std::size_t>(self.layout.rows()));
  const std::uint64_t step = self.trainer.steps();
  const linformer::MaskedTokens masked = self.masking.apply(tokens, self.layout, self.samples, 1, step);
  const linformer::Execution execution{self.pool, self.workspace, linformer::default_isa()};
  return self.trainer
      .step(
          self.model, 1,
          [&](Index, Model& gradient) {
            return linformer::masked_language_gradient(self.model, self.layout, masked,
                                                       {.dropout = linformer::DropoutAddress{.seed = 1, .step = step}},
                                                       1.0, self.cache, gradient, execution);
          },
          self.pool)
      .loss.mean();
} catch (...) {
  return std::numeric_limits<double>::quiet_NaN();
}

void linformer_training_destroy(void* run) { delete static_cast<Run*>(run); }
}
