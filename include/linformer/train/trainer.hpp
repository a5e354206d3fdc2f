#pragma once

#include <linformer/parallel/world.hpp>
#include <linformer/train/adamw.hpp>
#include <linformer/train/bucket_exchange.hpp>
#include <linformer/train/gradient_norm.hpp>
#include <linformer/train/gradient_sums.hpp>
#include <linformer/train/loss_sum.hpp>
#include <linformer/train/schedule.hpp>
#include <linformer/train/shard.hpp>

#include <concepts>
#include <functional>
#include <optional>
#include <set>

namespace linformer::inline LINFORMER_ABI {

/// How a model is trained, whatever it is trained on.
struct TrainerConfig {
  Schedule schedule{};
  AdamWConfig optimizer{.beta2 = 0.98, .epsilon = 1e-6};  ///< RoBERTa's
  double max_gradient_norm = 1;                           ///< infinite for no clipping
  /// Each process keeps the optimizer's state for its share of the values alone, and changes these alone (stage 1 of
  /// Rajbhandari et al. 2020, "ZeRO", arXiv 1910.02054): with N processes an N-th of the memory and of the work, for as
  /// many bytes sent, after backward. Sums are rounded in another order.
  bool shard_optimizer = false;
  Index bucket = Index{1} << 20;  ///< values that processes exchange at a time, at least 1
};

/// What one step did.
struct TrainingStep {
  LossSum loss;              ///< over all processes
  double gradient_norm = 0;  ///< of the mean loss's gradient, before clipping
  double learning_rate = 0;
};

/// One optimizer step after another: gradients of micro-batches are summed over processes, divided by the weight of all
/// losses, clipped by their global norm and handed to AdamW. All processes begin with the same weights, call the same
/// in the same order, and keep the same weights. The state is the optimizer's: what a checkpoint saves beside the
/// model.
template <Scalar T, class Model, World W = SingleProcess>
class Trainer {
 public:
  Trainer(const Model& model, const TrainerConfig& config, W world = {})
      : config_(config),
        world_(std::move(world)),
        sharded_(config.shard_optimizer && world_.size() > 1),
        gradient_(zero_gradient(model)),
        exchange_(world_, parameter_count(model), config.bucket),
        own_parts_(sharded_ ? exchange_.own_parts() : std::vector<Part>()),
        optimizer_(sharded_ ? shard_of_optimizer(model) : AdamW<T>(model, config.optimizer)) {
    if (!sharded_ && world_.size() > 1) sums_.emplace(world_, model, config.bucket);
  }

  [[nodiscard]] const TrainerConfig& config() const { return config_; }
  /// Steps taken.
  [[nodiscard]] std::uint64_t steps() const { return optimizer_.steps(); }
  /// Of this process; a shard's alone where it is sharded.
  [[nodiscard]] const AdamW<T>& optimizer() const { return optimizer_; }

  /// Hands over the optimizer's state of all parameters, whatever the number of processes, in rank 0 alone, which then
  /// has room for it. @param save called as save(optimizer)
  template <class Save>
  void save_optimizer(const Model& model, const Save& save) {
    const bool first = world_.rank() == 0;
    if (!sharded_) {
      if (first) save(std::as_const(optimizer_));
      return;
    }
    std::optional<AdamW<T>> whole;  // first moments come first, then the second ones
    FlatValues<T> all;
    if (first) all.assign(whole.emplace(model, config_.optimizer));
    FlatValues<const T> own;
    own.assign(std::as_const(optimizer_));
    exchange_.gather(own, 0, first ? &all : nullptr, 0);
    exchange_.gather(own, own.size() / 2, first ? &all : nullptr, parameter_count(model));
    if (!first) return;
    whole->set_steps(steps());
    save(std::as_const(*whole));
  }
  /// Takes up such a state, of which each process keeps what belongs to it.
  /// @param load called as load(optimizer) in every process, to fill in the state of all parameters
  template <class Load>
  void load_optimizer(const Model& model, const Load& load) {
    if (!sharded_) return load(optimizer_);
    AdamW<T> whole(model, config_.optimizer);
    load(whole);
    const Index values = parameter_count(model);
    std::vector<Part> parts = own_parts_;
    for (const Part& part : own_parts_) parts.push_back({values + part.begin, values + part.end});
    const Shard<const AdamW<T>> shard(whole, parts);
    FlatValues<const T> theirs;
    theirs.assign(shard);
    FlatValues<T> own;
    own.assign(optimizer_);
    std::vector<T> copy(static_cast<std::size_t>(own.size()));
    theirs.copy_to({0, own.size()}, copy.data());
    own.copy_from({0, own.size()}, copy.data());
    optimizer_.set_steps(whole.steps());
  }

  /// @param micro_batches of this process, which may have none
  /// @param accumulate called as accumulate(i, gradient) for each: adds the gradient of its sum of losses and returns
  ///   that sum. Or as accumulate(i, gradient, on_layer_done), which has an encoder's backward call `on_layer_done`
  ///   (`EncoderOptions`), if it is not empty and nothing is added after that backward: gradients are then on their way
  ///   to the other processes while it goes on. What it throws is thrown in this process alone, once the sums have come
  ///   that it has started, as others do; they wait for the rest, so that it should end them.
  /// @throws Error not_finite in every process, with the model and the optimizer as they were, if the loss or a
  ///   gradient is not finite
  template <class Accumulate>
  TrainingStep step(Model& model, Index micro_batches, const Accumulate& accumulate, ThreadPool& pool) {
    set_zero(gradient_);
    const LossSum sum = sum_losses(micro_batches, accumulate);
    sum_gradients();
    TrainingStep step{sum_over(world_, sum), 0, config_.schedule.learning_rate(static_cast<std::int64_t>(steps()))};
    const double scale = step.loss.weight > 0 ? 1 / step.loss.weight : 1;
    step.gradient_norm = global_norm(pool) * scale;
    if (!std::isfinite(step.loss.loss) || !std::isfinite(step.gradient_norm)) throw_not_finite(step);
    const double factor = scale * clip_factor(step.gradient_norm, config_.max_gradient_norm);
    if (sharded_) {
      Shard<Model> own(model, own_parts_);
      optimizer_.step(own, own_gradient(), step.learning_rate, pool, factor);
      parameters_.assign(model);
      exchange_.all_gather(parameters_);
    } else {
      optimizer_.step(model, gradient_, step.learning_rate, pool, factor);
    }
    return step;
  }

 private:
  /// A shard's parameters are vectors; whether they decay is asked of the whole ones.
  [[nodiscard]] AdamW<T> shard_of_optimizer(const Model& model) const {
    std::set<std::string, std::less<>> decaying;
    model.for_each_parameter([&](const std::string& name, Shape shape, auto) {
      if (decays_unless_vector(name, shape)) decaying.insert(name);
    });
    return AdamW<T>(Shard<const Model>(model, own_parts_), config_.optimizer,
                    [&](const std::string& name, Shape) { return decaying.contains(name); });
  }

  [[nodiscard]] Shard<const Model> own_gradient() const { return {gradient_, own_parts_}; }

  /// Of this process's micro-batches. In the last, sums of gradients start as backward completes them.
  template <class Accumulate>
  LossSum sum_losses(Index micro_batches, const Accumulate& accumulate) {
    using OnLayerDone = std::function<void(std::size_t)>;
    LossSum sum;
    if constexpr (std::invocable<const Accumulate&, Index, Model&, const OnLayerDone&>) {
      OnLayerDone on_layer_done;
      try {
        for (Index i = 0; i < micro_batches; ++i) {
          if (sums_ && i + 1 == micro_batches) {
            on_layer_done = [this](std::size_t layer) { sums_->complete(gradient_, layer); };
          }
          sum += accumulate(i, gradient_, on_layer_done);
        }
      } catch (...) {
        if (sums_) sums_->abandon();
        throw;
      }
    } else {
      for (Index i = 0; i < micro_batches; ++i) sum += accumulate(i, gradient_);
    }
    return sum;
  }

  void sum_gradients() {
    if (sums_) sums_->finish(gradient_);
    if (!sharded_) return;
    gradients_.assign(gradient_);
    exchange_.reduce_scatter(gradients_);
  }

  [[nodiscard]] double global_norm(ThreadPool& pool) {
    if (!sharded_) return gradient_norm<T>(gradient_, pool, norm_scratch_);
    const double own = gradient_norm<T>(own_gradient(), pool, norm_scratch_);
    double squares[] = {own * own};
    world_.sum(std::span<double>(squares));
    return std::sqrt(squares[0]);
  }

  [[noreturn]] void throw_not_finite(const TrainingStep& step) const {
    const auto name = sharded_ ? first_non_finite<T>(own_gradient()) : first_non_finite<T>(gradient_);
    throw Error(ErrorCode::not_finite, "loss at step " + std::to_string(steps()), "finite loss and gradients",
                "loss " + std::to_string(step.loss.mean()) + ", gradient norm " + std::to_string(step.gradient_norm) +
                    (name ? " (first in " + *name + ")" : std::string()));
  }

  TrainerConfig config_;
  W world_;
  bool sharded_;
  Model gradient_;
  BucketExchange<T, W> exchange_;
  std::vector<Part> own_parts_;  ///< of all values, where the optimizer is sharded
  AdamW<T> optimizer_;
  std::optional<GradientSums<T, W>> sums_;  ///< where there are other processes and the optimizer is not sharded
  FlatValues<T> gradients_, parameters_;    // of the step that is being taken
  GradientNormScratch<T> norm_scratch_;
};

}  // namespace linformer::inline LINFORMER_ABI
