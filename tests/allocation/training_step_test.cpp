#include <linformer/model/sequence_classifier.hpp>
#include <linformer/train/masked_language_loss.hpp>
#include <linformer/train/trainer.hpp>

#include "allocation/heap.hpp"
#include "support/catch.hpp"

#if LINFORMER_TEST_HEAP

using namespace linformer;

namespace {

EncoderConfig config_of(Mechanism mechanism, Sharing sharing, bool pre_norm) {
  return {.vocabulary_size = 50,
          .sequence_length = 960,
          .layers = 2,
          .model_width = 16,
          .heads = 2,
          .mechanism = mechanism,
          .projected_length = 8,
          .sharing = sharing,
          .pre_norm = pre_norm};
}

/// A batch whose sequences differ in length; every fourth token is masked.
struct Sample {
  BatchLayout layout;
  MaskedTokens masked;

  Sample() {
    const std::vector<Index> lengths{960, 300, 1, 17};
    layout = BatchLayout::from_lengths(lengths);
    for (Index row = 0; row < layout.rows(); ++row) {
      masked.ids.push_back(static_cast<std::int32_t>(row * 37 % 50));
      if (row % 4 != 0) continue;
      masked.rows.push_back(row);
      masked.labels.push_back(static_cast<std::int32_t>(row % 50));
    }
  }
};

/// Takes steps of a model, of which the first alone may allocate. @param gradient called as gradient(step, to)
template <class Model, class Gradient>
void check_steps(const EncoderConfig& config, Model model, ThreadPool& pool, const Gradient& gradient) {
  CAPTURE(static_cast<int>(config.mechanism), static_cast<int>(config.sharing), config.pre_norm, pool.threads());
  CAPTURE(static_cast<int>(config.projection.kind));
  Trainer<float, Model> trainer(model, {.schedule = {.peak = 1e-3, .warmup_steps = 1, .total_steps = 10}});
  for (const int which : {1, 2, 3}) {
    const long before = heap::allocations;
    trainer.step(
        model, 2, [&](Index, Model& to) { return gradient(model, trainer.steps(), to); }, pool);
    const long allocations = heap::allocations - before;
    INFO("step " << which);
    CHECK((allocations == 0 || which == 1));
  }
}

void check_language_model(const EncoderConfig& config, bool recompute, Index threads) {
  const Sample sample;
  ThreadPool pool(threads);
  Workspace workspace;
  const Execution execution{pool, workspace, default_isa()};
  EncoderCache<float> cache;
  using Model = MaskedLanguageModel<float>;
  check_steps(config, Model(config, 1), pool, [&](const Model& model, std::uint64_t step, Model& to) {
    return masked_language_gradient(model, sample.layout, sample.masked,
                                    {.dropout = DropoutAddress{.seed = 1, .step = step}, .recompute = recompute}, 1.0,
                                    cache, to, execution);
  });
}

void check_classifier(const EncoderConfig& config, Pooling pooling, Index threads) {
  const Sample sample;
  const TokenBatch tokens{sample.layout, sample.masked.ids};
  const std::vector<std::int32_t> labels{0, 2, 1, 1};
  ThreadPool pool(threads);
  Workspace workspace;
  const Execution execution{pool, workspace, default_isa()};
  using Model = SequenceClassifier<float>;
  Model::Cache cache;
  Matrix<float> logits(4, 3);
  check_steps(config, Model(config, 3, pooling, 1), pool, [&](const Model& model, std::uint64_t step, Model& to) {
    const EncoderOptions options{.dropout = DropoutAddress{.seed = 1, .step = step}};
    model.forward(tokens, logits, options, &cache, execution);
    const LossSum loss = cross_entropy_gradient<float>(logits, labels, 1);
    model.backward(tokens, options, cache, logits, to, execution);
    return loss;
  });
}

}  // namespace

TEST_CASE("the second training step of a shape allocates nothing", "[allocation]") {
  if (default_isa() == Isa::eigen) return;  // Eigen's own products allocate
  for (const Index threads : {1, 3}) {
    for (const auto sharing : {Sharing::none, Sharing::headwise, Sharing::key_value, Sharing::layerwise}) {
      check_language_model(config_of(Mechanism::linformer, sharing, false), false, threads);
    }
    check_language_model(config_of(Mechanism::linformer, Sharing::key_value, true), true, threads);
    for (const auto mechanism : {Mechanism::softmax, Mechanism::softmax_tiled}) {
      check_language_model(config_of(mechanism, Sharing::key_value, false), false, threads);
    }
    for (const auto kind :
         {ProjectionKind::gaussian, ProjectionKind::rademacher, ProjectionKind::mean_pooling,
          ProjectionKind::growing_pooling, ProjectionKind::max_pooling, ProjectionKind::convolution}) {
      EncoderConfig config = config_of(Mechanism::linformer, Sharing::headwise, false);
      config.projection.kind = kind;
      config.projection.bias = kind == ProjectionKind::convolution;
      check_language_model(config, false, threads);
    }
    for (const auto pooling : {Pooling::first_token, Pooling::mean}) {
      check_classifier(config_of(Mechanism::linformer, Sharing::headwise, false), pooling, threads);
    }
  }
}

#endif
