#include <linformer/model/sequence_classifier.hpp>
#include <linformer/train/cross_entropy.hpp>
#include <linformer/train/gradient_sums.hpp>
#include <linformer/train/masked_language_loss.hpp>
#include <linformer/train/trainer.hpp>

#include "support/attention_support.hpp"
#include "support/catch.hpp"
#include "support/resources.hpp"
#include "support/thread_world.hpp"
#include "train/two_parameters.hpp"

#include <memory>
#include <set>
#include <stdexcept>

using namespace linformer;

namespace {

/// What a `RecordedWorld` was asked for.
struct Record {
  bool sums_come_at_once = false;
  std::size_t started = 0, waited_for = 0, most_under_way = 0;

  [[nodiscard]] std::size_t under_way() const { return started - waited_for; }
};

/// The first of two processes that have the same values: a started sum is the double of what was handed over, once it
/// has been waited for.
class RecordedWorld {
 public:
  template <Scalar T>
  class Pending {
   public:
    Pending(std::shared_ptr<Record> record, std::span<T> values)
        : record_(std::move(record)), values_(values), given_(values.begin(), values.end()) {
      ++record_->started;
      record_->most_under_way = std::max(record_->most_under_way, record_->under_way());
    }
    Pending(Pending&&) noexcept = default;
    Pending& operator=(Pending&&) noexcept = default;
    ~Pending() { wait(); }

    [[nodiscard]] bool ready() {
      if (record_ && record_->sums_come_at_once) wait();
      return !record_;
    }
    void wait() {
      if (!record_) return;
      CHECK(std::ranges::equal(values_, given_));  // nobody has touched them
      for (T& value : values_) value *= 2;
      ++record_->waited_for;
      record_.reset();
    }

   private:
    std::shared_ptr<Record> record_;  // null: the sum is there
    std::span<T> values_;
    std::vector<T> given_;
  };

  explicit RecordedWorld(std::shared_ptr<Record> record) : record_(std::move(record)) {}

  [[nodiscard]] static Index rank() { return 0; }
  [[nodiscard]] static Index size() { return 2; }
  template <Scalar T>
  void sum(std::span<T> values) {
    for (T& value : values) value *= 2;
  }
  template <Scalar T>
  void maximum(std::span<T> /*values*/) {}
  template <Scalar T>
  [[nodiscard]] Pending<T> start_sum(std::span<T> values) {
    return {record_, values};
  }
  template <Scalar T>
  void reduce_scatter(std::span<T> values) {
    sum(values);
  }
  template <Scalar T>
  void all_gather(std::span<T> /*values*/) {}
  [[nodiscard]] RecordedWorld split(Index /*color*/, Index /*key*/) const { return *this; }

 private:
  std::shared_ptr<Record> record_;
};
static_assert(World<RecordedWorld>);

constexpr Index bucket_values = 17;

TrainerConfig config_of_trainer() {
  return {
      .schedule = {.kind = ScheduleKind::constant, .peak = 1e-2}, .max_gradient_norm = 0.5, .bucket = bucket_values};
}

EncoderConfig three_layers(Mechanism mechanism, Sharing sharing, bool pre_norm) {
  return {.vocabulary_size = 12,
          .sequence_length = 8,
          .layers = 3,
          .model_width = 6,
          .heads = 2,
          .feed_forward_width = 5,
          .mechanism = mechanism,
          .projected_length = 3,
          .sharing = sharing,
          .pre_norm = pre_norm,
          .dropout = 0.1,
          .attention_dropout = 0.1};
}

const TokenBatch& two_sequences() {
  static const TokenBatch batch =
      TokenBatch::from_sequences(std::vector<std::vector<std::int32_t>>{{0, 5, 6, 7, 8, 9, 10, 2}, {0, 7, 2}});
  return batch;
}

/// The gradient of a micro-batch, to which `options` have been added.
class LanguageModelling {
 public:
  using Model = MaskedLanguageModel<double>;
  static Model model(const EncoderConfig& config) { return {config, 1}; }

  LossSum operator()(const Model& model, const EncoderOptions& options, Model& gradient) {
    return masked_language_gradient(model, two_sequences().layout, masked_, options, 1.0, cache_, gradient,
                                    resources_.execution);
  }

 private:
  MaskedTokens masked_{two_sequences().ids, {1, 2, 5, 9}, {5, 6, 9, 7}};
  EncoderCache<double> cache_;
  Resources resources_{1};
};
class Classification {
 public:
  using Model = SequenceClassifier<double>;
  static Model model(const EncoderConfig& config) { return {config, 3, Pooling::first_token, 1}; }

  LossSum operator()(const Model& model, const EncoderOptions& options, Model& gradient) {
    Matrix<double> logits = model.forward(two_sequences(), options, &cache_, resources_.execution);
    const LossSum loss = cross_entropy_gradient<double>(logits, std::vector<std::int32_t>{2, 0}, 1.0);
    model.backward(two_sequences(), options, cache_, logits, gradient, resources_.execution);
    return loss;
  }

 private:
  Model::Cache cache_;
  Resources resources_{1};
};

std::vector<double> weights_of(const auto& model) {
  std::vector<double> weights;
  model.for_each_parameter([&](const std::string&, Shape, std::span<const double> values) {
    weights.insert(weights.end(), values.begin(), values.end());
  });
  return weights;
}

/// How many values backward has completed once it has gone through a layer. Each but those of the tables is named once.
template <class Model>
std::vector<Index> completed_values(const Model& model) {
  std::map<std::string, Index> sizes;
  model.for_each_parameter([&](const std::string& name, Shape, auto values) {
    if (!name.starts_with("embeddings.")) sizes[name] = static_cast<Index>(values.size());
  });
  std::vector<Index> values(3, 0);
  model.for_each_completed_parameter([&](std::size_t layer, const std::string& name) {
    CAPTURE(name);
    REQUIRE(sizes.contains(name));
    for (std::size_t below = 0; below <= layer; ++below) values[below] += sizes[name];
    sizes.erase(name);
  });
  CHECK(sizes.empty());
  return values;
}

/// Two steps, each of two micro-batches, are those of one process but that half of the gradient came by sums, which
/// began before backward ended: doubling is exact.
template <class Task>
void check_sums_of_steps(const EncoderConfig& config) {
  typename Task::Model expected = Task::model(config), model = expected;
  randomise(expected, 100);
  randomise(model, 100);
  Task task;
  ThreadPool pool(1);
  Trainer<double, typename Task::Model> alone(expected, config_of_trainer());
  const auto record = std::make_shared<Record>();
  Trainer<double, typename Task::Model, RecordedWorld> trainer(model, config_of_trainer(), RecordedWorld(record));
  const std::vector<Index> completed = completed_values(model);
  const auto buckets = static_cast<std::size_t>((parameter_count(model) + bucket_values - 1) / bucket_values);
  constexpr std::size_t most = GradientSums<double, RecordedWorld>::most_under_way;
  REQUIRE(buckets > most);
  for (const bool at_once : {true, false}) {
    CAPTURE(at_once);
    const auto options = [&](Index i) {
      return EncoderOptions{.dropout = DropoutAddress{
                                .seed = 1, .step = alone.steps(), .first_sample = static_cast<std::uint64_t>(2 * i)}};
    };
    const double loss =
        alone
            .step(
                expected, 2,
                [&](Index i, typename Task::Model& gradient) { return task(expected, options(i), gradient); }, pool)
            .loss.mean();
    const std::uint64_t steps = trainer.steps();
    *record = {.sums_come_at_once = at_once};
    std::vector<std::size_t> layers;
    const TrainingStep step = trainer.step(
        model, 2,
        [&](Index i, typename Task::Model& gradient, const std::function<void(std::size_t)>& on_layer_done) {
          EncoderOptions its = options(i);
          its.dropout->step = steps;
          CHECK(static_cast<bool>(on_layer_done) == (i == 1));
          if (on_layer_done) {
            its.on_layer_done = [&](std::size_t layer) {
              on_layer_done(layer);
              layers.push_back(layer);
              const auto whole = static_cast<std::size_t>(completed[layer] / bucket_values);
              CHECK(record->started == (at_once ? whole : std::min(whole, most)));
            };
          }
          const LossSum loss_sum = task(model, its, gradient);
          CHECK((i == 1) == (record->started > 0));
          return loss_sum;
        },
        pool);
    CHECK(layers == std::vector<std::size_t>{2, 1, 0});
    CHECK(record->started == buckets);
    CHECK(record->waited_for == buckets);
    CHECK(record->most_under_way == (at_once ? 1 : most));
    CHECK(step.loss.mean() == loss);
    CHECK(weights_of(model) == weights_of(expected));
  }
}

}  // namespace

TEST_CASE("sums of gradients start as backward completes them, and all are waited for", "[gradient_sums]") {
  const bool pre_norm = GENERATE(false, true);
  const Sharing sharing = GENERATE(Sharing::none, Sharing::headwise, Sharing::key_value, Sharing::layerwise);
  CAPTURE(pre_norm, static_cast<int>(sharing));
  check_sums_of_steps<LanguageModelling>(three_layers(Mechanism::linformer, sharing, pre_norm));
  check_sums_of_steps<Classification>(three_layers(Mechanism::linformer, sharing, pre_norm));
  if (sharing == Sharing::none) {
    check_sums_of_steps<LanguageModelling>(three_layers(Mechanism::softmax, sharing, pre_norm));
  }
}

TEST_CASE("a backward that fails leaves no sum under way, and the next step is as if there had been none",
          "[gradient_sums]") {
  using Model = LanguageModelling::Model;
  const EncoderConfig config = three_layers(Mechanism::linformer, Sharing::headwise, false);
  Model expected = LanguageModelling::model(config), model = expected;
  LanguageModelling task;
  ThreadPool pool(1);
  const auto record = std::make_shared<Record>();
  Trainer<double, Model, RecordedWorld> unharmed(expected, config_of_trainer(), RecordedWorld(record));
  Trainer<double, Model, RecordedWorld> trainer(model, config_of_trainer(), RecordedWorld(record));
  const auto step = [&](auto& its, Model& its_model, bool fails) {
    its.step(
        its_model, 1,
        [&](Index, Model& gradient, const std::function<void(std::size_t)>& on_layer_done) {
          const auto fail_at_one = [&](std::size_t layer) {
            on_layer_done(layer);
            if (fails && layer == 1) throw std::runtime_error("backward fails");
          };
          return task(its_model, {.on_layer_done = fail_at_one}, gradient);
        },
        pool);
  };
  step(unharmed, expected, false);
  *record = {};
  REQUIRE_THROWS_AS(step(trainer, model, true), std::runtime_error);
  CHECK(record->started > 0);
  CHECK(record->under_way() == 0);
  step(trainer, model, false);
  CHECK(record->under_way() == 0);
  CHECK(weights_of(model) == weights_of(expected));
}

namespace {

/// Backward of layer 1 completes the bias, that of layer 0 the weight.
struct TwoLayers : TwoParameters<double> {
  template <class F>
  void for_each_completed_parameter(const F& f) const {
    f(1, "bias");
    f(0, "weight");
  }
};

}  // namespace

TEST_CASE("sums that are under way end before their memory does", "[gradient_sums]") {
  const auto record = std::make_shared<Record>();
  TwoLayers module{{Matrix<double>::Ones(2, 3), Vector<double>::Ones(2)}};
  {
    GradientSums<double, RecordedWorld> sums(RecordedWorld(record), module, 3);
    sums.complete(module, 0);
    CHECK(record->under_way() == 3);
  }
  CHECK(record->under_way() == 0);
}

TEST_CASE("processes start sums in the same order, whenever each comes there", "[gradient_sums]") {
  const Index ranks = GENERATE(Index{1}, Index{2}, Index{3}), bucket = GENERATE(Index{1}, Index{3}, Index{100});
  CAPTURE(ranks, bucket);
  std::vector<double> sums;
  for (Index i = 0; i < 8; ++i) sums.push_back(static_cast<double>(ranks * i + 50 * ranks * (ranks - 1)));
  run_ranks(ranks, [&](ThreadWorld world) {
    TwoLayers module{{Matrix<double>(2, 3), Vector<double>(2)}};
    GradientSums<double, ThreadWorld> of_module(world, module, bucket);
    for (int again = 0; again < 2; ++again) {
      double next = static_cast<double>(100 * world.rank());  // whole numbers, whose sums are exact
      module.for_each_parameter([&](const std::string&, Shape, std::span<double> values) {
        for (double& value : values) value = next++;
      });
      if (world.rank() != 1) of_module.complete(module, 1);
      if (world.rank() == 0) of_module.complete(module, 0);
      of_module.finish(module);
      CHECK(weights_of(module) == sums);
    }
  });
}
