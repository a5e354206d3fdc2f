#include <linformer/mpi/world.hpp>
#include <linformer/parallel/counted_world.hpp>
#include <linformer/train/masked_language_loss.hpp>
#include <linformer/train/trainer.hpp>
#include <linformer/train/training_file.hpp>

#include "support/catch.hpp"
#include "support/resources.hpp"

#include <cstdio>
#include <functional>
#include <limits>
#include <stdexcept>

using namespace linformer;

namespace {

using Model = MaskedLanguageModel<double>;
using World = CountedWorld<MpiWorld>;

constexpr int all_steps = 20;
constexpr Index bucket = 100;  // values: cuts parameters at any place

EncoderConfig small_config() {
  return {.vocabulary_size = 12,
          .sequence_length = 8,
          .layers = 2,
          .model_width = 6,
          .heads = 2,
          .feed_forward_width = 5,
          .projected_length = 3,
          .sharing = Sharing::key_value,
          .dropout = 0.1,
          .attention_dropout = 0.1};
}

/// A run whose batches hold 7 samples or, every other step, 3: fewer than four processes.
class Run {
 public:
  Run(MpiWorld world, bool sharded)
      : world_(world),
        model_(small_config(), 1),
        trainer_(model_,
                 {.schedule = {.peak = 1e-2, .warmup_steps = 3, .total_steps = all_steps},
                  .max_gradient_norm = 0.5,
                  .shard_optimizer = sharded,
                  .bucket = bucket},
                 World(std::move(world), traffic_)) {}

  void take_steps_until(int step) {
    while (trainer_.steps() < static_cast<std::uint64_t>(step)) {
      const Part share = part_of_rank(trainer_.steps() % 2 == 0 ? 7 : 3, world_.rank(), world_.size());
      take_step(share.size(), [&](Index i, Model& gradient, const OnLayerDone& on_layer_done) {
        return add_gradient(share.begin + i, gradient, on_layer_done);
      });
    }
  }
  /// Begins a step, whose backward fails at a layer in this process: all have begun to sum gradients up to there.
  void fail_at(std::size_t layer) {
    take_step(1, [&](Index, Model& gradient, const OnLayerDone& on_layer_done) {
      return add_gradient(world_.rank(), gradient, [&](std::size_t done) {
        if (on_layer_done) on_layer_done(done);
        if (done == layer) throw std::runtime_error("backward fails");
      });
    });
  }

  void save(const std::string& path) {
    trainer_.save_optimizer(model_, [&](const auto& optimizer) { save_training(path, model_, optimizer, "these"); });
  }
  void load(const std::string& path) {
    const auto file = SafetensorsFile::open(path);
    trainer_.load_optimizer(model_, [&](auto& optimizer) { load_training(file, model_, optimizer, "these"); });
  }

  /// Of the steps that this run took itself.
  [[nodiscard]] const std::vector<double>& losses() const { return losses_; }
  [[nodiscard]] std::vector<double> weights() const {
    std::vector<double> weights;
    model_.for_each_parameter([&](const std::string&, Shape, std::span<const double> values) {
      weights.insert(weights.end(), values.begin(), values.end());
    });
    return weights;
  }
  [[nodiscard]] const Traffic& traffic() const { return traffic_; }
  [[nodiscard]] Index state_values() const { return parameter_count(trainer_.optimizer()); }

 private:
  using OnLayerDone = std::function<void(std::size_t)>;

  template <class Accumulate>
  void take_step(Index micro_batches, const Accumulate& accumulate) {
    losses_.push_back(trainer_.step(model_, micro_batches, accumulate, resources_.pool).loss.mean());
  }

  LossSum add_gradient(Index sample, Model& gradient, const OnLayerDone& on_layer_done) {
    std::vector<std::int32_t> ids{0};
    for (Index i = 0; i < 2 + sample % 5; ++i) ids.push_back(static_cast<std::int32_t>(5 + (sample * 3 + i * i) % 7));
    ids.push_back(2);
    const TokenBatch tokens = TokenBatch::from_sequences(std::vector<std::vector<std::int32_t>>{ids});
    const TokenMasking masking({.vocabulary = 12, .mask_id = 4, .special_ids = {0, 1, 2, 3}, .rate = 0.6});
    const MaskedTokens masked =
        masking.apply(tokens.ids, tokens.layout, std::vector<Index>{sample}, 7, trainer_.steps());
    const EncoderOptions options{
        .dropout =
            DropoutAddress{.seed = 1, .step = trainer_.steps(), .first_sample = static_cast<std::uint64_t>(sample)},
        .on_layer_done = on_layer_done};
    return masked_language_gradient(model_, tokens.layout, masked, options, 1.0, cache_, gradient,
                                    resources_.execution);
  }

  Traffic traffic_;
  MpiWorld world_;
  Model model_;
  Trainer<double, Model, World> trainer_;
  std::vector<double> losses_;
  EncoderCache<double> cache_;
  Resources resources_{1};
};

/// The bounds of double precision: sums in another order, which twenty steps carry on.
void check_same_but_for_rounding(const Run& run, const Run& one) {
  const std::size_t before = one.losses().size() - run.losses().size();
  for (std::size_t i = 0; i < run.losses().size(); ++i) {
    CHECK(std::abs(run.losses()[i] - one.losses()[before + i]) <= 1e-12 * one.losses()[before + i]);
  }
  const std::vector<double> weights = run.weights(), expected = one.weights();
  double difference = 0;
  for (std::size_t i = 0; i < weights.size(); ++i) {
    difference = std::max(difference, std::abs(weights[i] - expected[i]));
  }
  CHECK(difference <= 1e-10);
}

/// Calls f(world) in the first of the processes, as a world of their own.
template <class F>
void in_world_of(Index ranks, const F& f) {
  MpiWorld all(MPI_COMM_WORLD);
  if (ranks > all.size()) return;
  const bool takes_part = all.rank() < ranks;
  MpiWorld some = all.split(takes_part ? 0 : 1, all.rank());
  if (takes_part) f(some);
  double done[] = {1};
  all.sum(std::span<double>(done));
}

}  // namespace

TEST_CASE("twenty steps of several processes are those of one, and the same bits again", "[mpi][training]") {
  Run one(MpiWorld(), false);
  one.take_steps_until(all_steps);
  REQUIRE(one.losses().back() < one.losses().front());
  const bool sharded = GENERATE(false, true);
  for (const Index ranks : {Index{1}, Index{2}, Index{3}, Index{4}}) {
    in_world_of(ranks, [&](const MpiWorld& world) {
      CAPTURE(sharded, ranks);
      Run run(world, sharded);
      run.take_steps_until(all_steps);
      check_same_but_for_rounding(run, one);
      Run again(world, sharded);
      again.take_steps_until(all_steps);
      CHECK(again.losses() == run.losses());
      CHECK(again.weights() == run.weights());

      // What is sent is the gradient, and in a sharded run the weights, beside a few numbers a step.
      const auto gradient_bytes = all_steps * one.state_values() / 2 * static_cast<Index>(sizeof(double));
      const Traffic& traffic = run.traffic();
      const bool shards = sharded && ranks > 1;
      CHECK(traffic.reduce_scatter.bytes == (shards ? gradient_bytes : 0));
      CHECK(traffic.all_gather.bytes == (shards ? gradient_bytes : 0));
      CHECK(traffic.sum.bytes == (ranks > 1 && !shards ? gradient_bytes : 0) + all_steps * (shards ? 24 : 16));
      // A bucket's parts differ by one value at most.
      const Index buckets = (one.state_values() / 2 + bucket - 1) / bucket;
      if (shards) CHECK(std::abs(run.state_values() - one.state_values() / ranks) <= 2 * buckets + 1);
    });
  }
}

TEST_CASE("a step whose backward fails in all processes can be taken again", "[mpi][training]") {
  MpiWorld all(MPI_COMM_WORLD);
  Run run(all, false), failed(all, false);
  for (const std::size_t layer : {std::size_t{0}, std::size_t{1}}) {
    REQUIRE_THROWS_AS(failed.fail_at(layer), std::runtime_error);
  }
  run.take_steps_until(3);
  failed.take_steps_until(3);
  CHECK(failed.losses() == run.losses());
  CHECK(failed.weights() == run.weights());
}

// Run by itself: the program ends, whatever the other processes wait for.
TEST_CASE("a step whose backward fails in one process ends all", "[.failing_process]") {
  MpiWorld all(MPI_COMM_WORLD);
  Run run(all, false);
  run.take_steps_until(1);
  if (all.rank() == 1) run.fail_at(0);
  run.take_steps_until(all_steps);
}

TEST_CASE("a run of four processes goes on in two, and one of two in three", "[mpi][training]") {
  Run one(MpiWorld(), false);
  one.take_steps_until(all_steps);
  const bool shards_before = GENERATE(false, true), shards_after = GENERATE(false, true);
  CAPTURE(shards_before, shards_after);
  MpiWorld all(MPI_COMM_WORLD);
  const std::string path = "mpi_training_of_" + std::to_string(all.size()) + ".safetensors";  // others run meanwhile
  using Change = std::pair<Index, Index>;
  for (const auto& [before, after] : {Change{4, 2}, Change{2, 3}}) {
    if (std::max(before, after) > all.size()) continue;
    in_world_of(before, [&](const MpiWorld& world) {
      Run run(world, shards_before);
      run.take_steps_until(all_steps / 2);
      run.save(path);
    });
    in_world_of(after, [&](const MpiWorld& world) {
      Run run(world, shards_after);
      run.load(path);
      run.take_steps_until(all_steps);
      CHECK(run.losses().size() == all_steps / 2);
      check_same_but_for_rounding(run, one);
    });
    if (all.rank() == 0) std::remove(path.c_str());
  }
}
