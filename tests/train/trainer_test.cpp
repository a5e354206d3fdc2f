#include <linformer/train/masked_language_loss.hpp>
#include <linformer/train/sample_order.hpp>
#include <linformer/train/trainer.hpp>

#include "support/attention_support.hpp"
#include "support/central_differences.hpp"
#include "support/resources.hpp"
#include "support/thread_world.hpp"
#include "train/two_parameters.hpp"

namespace {

EncoderConfig small(double dropout) {
  return {.vocabulary_size = 12,
          .sequence_length = 8,
          .layers = 1,
          .model_width = 6,
          .heads = 2,
          .feed_forward_width = 5,
          .projected_length = 3,
          .dropout = dropout,
          .attention_dropout = dropout};
}

const TokenBatch& tokens() {
  static const TokenBatch batch = TokenBatch::from_sequences(
      std::vector<std::vector<std::int32_t>>{{0, 5, 6, 7, 8, 9, 10, 2}, {0, 7, 2}, {0, 9, 11, 5, 2}});
  return batch;
}

MaskedTokens masked_tokens() {
  const TokenMasking mask_most({.vocabulary = 12, .mask_id = 4, .special_ids = {0, 1, 2, 3}, .rate = 0.7});
  MaskedTokens masked = mask_most.apply(tokens().ids, tokens().layout, std::vector<Index>{0, 1, 2}, 7, 0);
  REQUIRE(masked.rows.size() >= 4);
  return masked;
}

}  // namespace

TEST_CASE("the gradient of the masked-language loss is that of central differences", "[trainer]") {
  MaskedLanguageModel<double> model(small(0), 1);
  randomise(model, 100);
  const MaskedTokens masked = masked_tokens();
  Resources resources(1);
  MaskedLanguageModel<double> gradient = zero_gradient(model);
  EncoderCache<double> cache;
  const LossSum sum =
      masked_language_gradient(model, tokens().layout, masked, {}, 0.5, cache, gradient, resources.execution);
  const auto loss = [&] { return masked_language_loss(model, tokens().layout, masked, resources.execution).loss; };
  REQUIRE(sum.weight == static_cast<double>(masked.rows.size()));
  REQUIRE(std::abs(sum.loss - loss()) < 1e-12 * sum.loss);
  check_parameters(model, gradient, [&] { return 0.5 * loss(); });
}

TEST_CASE("a trainer learns what it is shown, with the same bits for any number of threads", "[trainer]") {
  const MaskedTokens masked = masked_tokens();
  const auto train = [&](Index threads, std::vector<double>& losses) {
    MaskedLanguageModel<float> model(small(0.1), 1);
    Trainer<float, MaskedLanguageModel<float>> trainer(model,
                                                       {.schedule = {.kind = ScheduleKind::constant, .peak = 1e-2}});
    Resources resources(threads);
    EncoderCache<float> cache;
    for (int i = 0; i < 150; ++i) {
      const TrainingStep step = trainer.step(
          model, 1,
          [&](Index, MaskedLanguageModel<float>& gradient) {
            const EncoderOptions options{.dropout = DropoutAddress{.seed = 1, .step = trainer.steps()}};
            return masked_language_gradient(model, tokens().layout, masked, options, 1.0, cache, gradient,
                                            resources.execution);
          },
          resources.pool);
      losses.push_back(step.loss.mean());
      REQUIRE(step.gradient_norm > 0);
    }
    std::vector<float> weights;
    model.for_each_parameter([&](const std::string&, Shape, std::span<const float> values) {
      weights.insert(weights.end(), values.begin(), values.end());
    });
    return weights;
  };
  std::vector<double> losses, again;
  const std::vector<float> one = train(1, losses), two = train(2, again);
  REQUIRE(losses.front() > 2);  // about log(12)
  REQUIRE(losses.back() < 0.5 * losses.front());
  REQUIRE(losses == again);
  REQUIRE(std::memcmp(one.data(), two.data(), one.size() * sizeof(float)) == 0);
}

TEST_CASE("micro-batches add up to their whole, and processes are micro-batches", "[trainer]") {
  const MaskedTokens masked = masked_tokens();
  const auto weights_after = [&](Index micro_batches) {
    MaskedLanguageModel<double> model(small(0), 1);
    Trainer<double, MaskedLanguageModel<double>> trainer(model,
                                                         {.schedule = {.kind = ScheduleKind::constant, .peak = 1e-2}});
    Resources resources(1);
    EncoderCache<double> cache;
    trainer.step(
        model, micro_batches,
        [&](Index i, MaskedLanguageModel<double>& gradient) {
          // The i-th part of the masked rows; the others are shown as they are hidden.
          MaskedTokens part{masked.ids, {}, {}};
          for (std::size_t j = 0; j < masked.rows.size(); ++j) {
            if (static_cast<Index>(j) % micro_batches != i) continue;
            part.rows.push_back(masked.rows[j]);
            part.labels.push_back(masked.labels[j]);
          }
          return masked_language_gradient(model, tokens().layout, part, {}, 1.0, cache, gradient, resources.execution);
        },
        resources.pool);
    std::vector<double> weights;
    model.for_each_parameter([&](const std::string&, Shape, std::span<const double> values) {
      weights.insert(weights.end(), values.begin(), values.end());
    });
    return weights;
  };
  const std::vector<double> one = weights_after(1), two = weights_after(2);
  // Adam's first step is η·g/(|g| + ε): a rounding of g, 1e-16 beside ε = 1e-6, moves it by 1e-2·1e-10 at most.
  for (std::size_t i = 0; i < one.size(); ++i) REQUIRE(std::abs(one[i] - two[i]) < 1e-11);
}

TEST_CASE("a loss that is not finite stops training and changes nothing", "[trainer]") {
  MaskedLanguageModel<float> model(small(0), 1);
  Trainer<float, MaskedLanguageModel<float>> trainer(model, {.schedule = {.kind = ScheduleKind::constant}});
  ThreadPool pool(1);
  const auto values_of_model = [&] {
    std::vector<float> weights;
    model.for_each_parameter([&](const std::string&, Shape, std::span<const float> values) {
      weights.insert(weights.end(), values.begin(), values.end());
    });
    return weights;
  };
  const std::vector<float> before = values_of_model();
  const auto step = [&](double loss, float slope) {
    try {
      trainer.step(
          model, 1,
          [&](Index, MaskedLanguageModel<float>& gradient) {
            gradient.encoder().words().weight(0, 0) = slope;
            return LossSum{loss, 1};
          },
          pool);
    } catch (const Error& error) {
      return error.code() == ErrorCode::not_finite;
    }
    return false;
  };
  REQUIRE(step(std::numeric_limits<double>::quiet_NaN(), 1));
  REQUIRE(step(1, infinity_float));
  REQUIRE(trainer.steps() == 0);
  REQUIRE(values_of_model() == before);
  REQUIRE_FALSE(step(1, 1));
  REQUIRE(trainer.steps() == 1);
}

namespace {

constexpr Index all_samples = 5;

/// Adds the gradient of half the squared distance of all values to those of a sample.
LossSum approach(Index sample, const TwoParameters<double>& model, TwoParameters<double>& gradient) {
  LossSum sum{0, 1};
  const auto add = [&](const auto& values, auto& its_gradient) {
    for (Index i = 0; i < values.size(); ++i) {
      const double difference = values.data()[i] - 0.1 * static_cast<double>(sample * i + i + 1);
      its_gradient.data()[i] += difference;
      sum.loss += difference * difference / 2;
    }
  };
  add(model.weight, gradient.weight);
  add(model.bias, gradient.bias);
  return sum;
}

TwoParameters<double> all_zero() { return {Matrix<double>::Zero(2, 3), Vector<double>::Zero(2)}; }

std::vector<double> values_in(const auto& module) {
  std::vector<double> values;
  module.for_each_parameter([&](const std::string&, Shape, std::span<const double> its) {
    values.insert(values.end(), its.begin(), its.end());
  });
  return values;
}

double largest_difference(const std::vector<double>& a, const std::vector<double>& b) {
  REQUIRE(a.size() == b.size());
  double largest = 0;
  for (std::size_t i = 0; i < a.size(); ++i) largest = std::max(largest, std::abs(a[i] - b[i]));
  return largest;
}

TrainerConfig approach_config(bool sharded) {
  return {.schedule = {.kind = ScheduleKind::constant, .peak = 1e-2},
          .max_gradient_norm = 0.5,
          .shard_optimizer = sharded,
          .bucket = 3};
}

/// Steps of one process of a world, with its share of the samples.
template <World W>
void take_approach_steps(int steps, W& world, TwoParameters<double>& model,
                         Trainer<double, TwoParameters<double>, W>& trainer) {
  ThreadPool pool(1);
  const Part share = part_of_rank(all_samples, world.rank(), world.size());
  for (int i = 0; i < steps; ++i) {
    trainer.step(
        model, share.size(),
        [&](Index sample, TwoParameters<double>& gradient) { return approach(share.begin + sample, model, gradient); },
        pool);
  }
}

}  // namespace

TEST_CASE("any number of processes takes one's steps, and goes on from what another number saved", "[trainer]") {
  SingleProcess alone;
  TwoParameters<double> expected = all_zero();
  Trainer<double, TwoParameters<double>> one(expected, approach_config(false));
  take_approach_steps(3, alone, expected, one);
  TwoParameters<double> saved_model = expected;
  std::optional<AdamW<double>> saved;
  one.save_optimizer(expected, [&](const AdamW<double>& optimizer) { saved = optimizer; });
  take_approach_steps(3, alone, expected, one);

  const Index ranks = GENERATE(Index{1}, Index{2}, Index{3}, Index{7});  // more than samples, too
  const bool sharded = GENERATE(false, true);
  CAPTURE(ranks, sharded);
  run_ranks(ranks, [&](ThreadWorld world) {
    const auto check = [&](const TwoParameters<double>& model, auto& trainer) {
      // Values of 1 move by 1e-2 a step, which a rounding of g changes by 1e-16 · 1e-2 / 1e-6 at most.
      CHECK(largest_difference(values_in(model), values_in(expected)) < 1e-11);
      CHECK(trainer.steps() == 6);
      trainer.save_optimizer(model, [&](const AdamW<double>& optimizer) {
        CHECK(world.rank() == 0);
        CHECK(optimizer.steps() == 6);
        CHECK(largest_difference(values_in(optimizer), values_in(one.optimizer())) < 1e-13);
      });
    };
    TwoParameters<double> model = all_zero();
    Trainer<double, TwoParameters<double>, ThreadWorld> trainer(model, approach_config(sharded), world);
    take_approach_steps(6, world, model, trainer);
    check(model, trainer);

    model = saved_model;
    Trainer<double, TwoParameters<double>, ThreadWorld> second(model, approach_config(sharded), world);
    second.load_optimizer(model, [&](AdamW<double>& optimizer) { optimizer = *saved; });
    take_approach_steps(3, world, model, second);
    check(model, second);
  });
}

TEST_CASE("a gradient that is not finite in one process is an error in all", "[trainer]") {
  const bool sharded = GENERATE(false, true);
  int told = 0;
  run_ranks(3, [&](ThreadWorld world) {
    TwoParameters<double> model = all_zero();
    Trainer<double, TwoParameters<double>, ThreadWorld> trainer(model, approach_config(sharded), world);
    ThreadPool pool(1);
    try {
      trainer.step(
          model, 1,
          [&](Index, TwoParameters<double>& gradient) {
            if (world.rank() == 1) gradient.bias(0) = std::numeric_limits<double>::quiet_NaN();
            return LossSum{1, 1};
          },
          pool);
    } catch (const Error& error) {
      if (error.code() == ErrorCode::not_finite) ++told;
    }
    CHECK(trainer.steps() == 0);
    CHECK(values_in(model) == values_in(all_zero()));
  });
  CHECK(told == 3);
}
