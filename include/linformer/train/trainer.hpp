#pragma once

#include <linformer/parallel/world.hpp>
#include <linformer/train/adamw.hpp>
#include <linformer/train/gradient_norm.hpp>
#include <linformer/train/loss_sum.hpp>
#include <linformer/train/schedule.hpp>

namespace linformer::inline LINFORMER_ABI {

/// How a model is trained, whatever it is trained on.
struct TrainerConfig {
  Schedule schedule{};
  AdamWConfig optimizer{.beta2 = 0.98, .epsilon = 1e-6};  ///< RoBERTa's
  double max_gradient_norm = 1;                           ///< infinite for no clipping
};

/// What one step did.
struct TrainingStep {
  LossSum loss;              ///< over all processes
  double gradient_norm = 0;  ///< of the mean loss's gradient, before clipping
  double learning_rate = 0;
};

/// One optimizer step after another: gradients of micro-batches are summed over processes, divided by the weight of all
/// losses, clipped by their global norm and handed to AdamW. The state is the optimizer's: `optimizer()` is what a
/// checkpoint saves beside the model.
template <Scalar T, class Model, World W = SingleProcess>
class Trainer {
 public:
  Trainer(const Model& model, const TrainerConfig& config, W world = {})
      : config_(config),
        world_(std::move(world)),
        gradient_(zero_gradient(model)),
        optimizer_(model, config.optimizer) {}

  [[nodiscard]] const TrainerConfig& config() const { return config_; }
  [[nodiscard]] const AdamW<T>& optimizer() const { return optimizer_; }
  [[nodiscard]] AdamW<T>& optimizer() { return optimizer_; }
  /// Steps taken.
  [[nodiscard]] std::uint64_t steps() const { return optimizer_.steps(); }

  /// @param micro_batches of this process; @param accumulate called as accumulate(i, gradient) for each: adds the
  ///   gradient of its sum of losses and returns that sum
  /// @throws Error not_finite, with the model and the optimizer as they were, if the loss or a gradient is not finite
  template <class Accumulate>
  TrainingStep step(Model& model, Index micro_batches, const Accumulate& accumulate, ThreadPool& pool) {
    set_zero(gradient_);
    LossSum sum;
    for (Index i = 0; i < micro_batches; ++i) sum += accumulate(i, gradient_);
    gradient_.for_each_parameter([&](const ParameterName&, Shape, std::span<T> values) { world_.sum(values); });
    double sums[] = {sum.loss, sum.weight};
    world_.sum(std::span<double>(sums));
    TrainingStep step{{sums[0], sums[1]}, 0, config_.schedule.learning_rate(static_cast<std::int64_t>(steps()))};
    const double scale = step.loss.weight > 0 ? 1 / step.loss.weight : 1;
    step.gradient_norm = gradient_norm<T>(gradient_, pool, norm_scratch_) * scale;
    if (!std::isfinite(step.loss.loss) || !std::isfinite(step.gradient_norm)) {
      throw Error(
          ErrorCode::not_finite, "loss at step " + std::to_string(steps()), "finite loss and gradients",
          "loss " + std::to_string(step.loss.mean()) + ", gradient norm " + std::to_string(step.gradient_norm) + [&] {
            const auto name = first_non_finite<T>(gradient_);
            return name ? " (first in " + *name + ")" : std::string();
          }());
    }
    optimizer_.step(model, gradient_, step.learning_rate, pool,
                    scale * clip_factor(step.gradient_norm, config_.max_gradient_norm));
    return step;
  }

 private:
  TrainerConfig config_;
  W world_;
  Model gradient_;
  AdamW<T> optimizer_;
  GradientNormScratch<T> norm_scratch_;
};

}  // namespace linformer::inline LINFORMER_ABI
