#include <linformer/model/sentence_embeddings.hpp>
#include <linformer/model/sequence_classifier.hpp>
#include <linformer/train/masked_language_loss.hpp>
#include <linformer/train/sequence_gradients.hpp>

#include "support/attention_support.hpp"
#include "support/resources.hpp"
#include "support/sequence_parts.hpp"
#include "support/thread_world.hpp"

namespace {

constexpr Index parts_length = 13;

EncoderConfig in_parts() {
  return {.vocabulary_size = 11,
          .sequence_length = parts_length,
          .layers = 2,
          .model_width = 6,
          .heads = 2,
          .feed_forward_width = 7,
          .projected_length = 4,
          .dropout = 0,
          .attention_dropout = 0};
}

TokenBatch drawn_tokens(const BatchLayout& layout, Index types = 0) {
  TokenBatch tokens{layout, {}};
  std::mt19937 generator(3);
  for (Index i = 0; i < layout.rows(); ++i) tokens.ids.push_back(static_cast<std::int32_t>(generator() % 11));
  for (Index i = 0; i < layout.rows() && types > 0; ++i) {
    tokens.types.push_back(static_cast<std::int32_t>(generator() % static_cast<unsigned>(types)));
  }
  return tokens;
}

SequenceClassifier<double> classifier_of(const EncoderConfig& config, Pooling pooling, std::optional<Part> held = {}) {
  SequenceClassifier<double> model(config, 3, pooling, 1, held);
  randomise_by_name(model, SequenceClassifier<double>(config, 3, pooling, 1, Part{0, 1}).partial_parameters());
  return model;
}

/// Logits in inference and in training, and all gradients, of processes with parts of the sequences and of one.
void check_in_parts(const EncoderConfig& config, Pooling pooling, EncoderOptions options = {}) {
  for (const BatchLayout& layout : layouts_in_parts(parts_length)) {
    const TokenBatch tokens = drawn_tokens(layout, config.token_types);
    const Matrix<double> r = random_rows(layout.sequences(), 3, 2);
    Resources resources(1);
    const SequenceClassifier<double> whole = classifier_of(config, pooling);
    SequenceClassifier<double> whole_gradient = zero_gradient(whole);
    SequenceClassifier<double>::Cache cache;
    const Matrix<double> inferred = whole(tokens, resources.execution);
    const Matrix<double> logits = whole.forward(tokens, options, &cache, resources.execution);
    whole.backward(tokens, options, cache, r, whole_gradient, resources.execution);
    for (const Index ranks : {1, 2, 3, 4}) {
      run_ranks(ranks, [&](ThreadWorld world) {
        CAPTURE(ranks, world.rank());
        const Part held = part_of_rank(parts_length, world.rank(), ranks);
        const SequenceClassifier<double> part = classifier_of(config, pooling, held);
        SequenceClassifier<double> gradient = zero_gradient(part);
        SequenceClassifier<double>::Cache its_cache;
        const TokenBatch its = tokens.part(held.begin, held.end);
        Resources its_resources(1);
        EncoderOptions its_options = options;
        its_options.sequence = world;
        CHECK((part.forward(its, {.sequence = world}, nullptr, its_resources.execution) - inferred)
                  .cwiseAbs()
                  .maxCoeff() <= 1e-12 * inferred.cwiseAbs().maxCoeff());
        CHECK((part.forward(its, its_options, &its_cache, its_resources.execution) - logits).cwiseAbs().maxCoeff() <=
              1e-12 * logits.cwiseAbs().maxCoeff());
        part.backward(its, its_options, its_cache, r, gradient, its_resources.execution);
        RankGrid<ThreadWorld> grid = make_rank_grid(world, ranks);
        sum_gradients<double>(gradient, grid);
        check_part(gradient, whole_gradient, held);
      });
    }
  }
}

}  // namespace

TEST_CASE("an encoder in parts agrees with one process", "[encoder_sequence]") {
  const DropoutAddress draws{.seed = 3, .step = 1};
  check_in_parts(in_parts(), Pooling::mean);
  check_in_parts(in_parts(), Pooling::first_token, {.recompute = true});
  EncoderConfig drops = in_parts();
  drops.dropout = drops.attention_dropout = 0.3;
  drops.sharing = Sharing::headwise;
  drops.positions = PositionKind::sinusoidal;
  drops.token_types = 2;
  check_in_parts(drops, Pooling::mean, {.dropout = draws});
  drops.pre_norm = true;
  drops.sharing = Sharing::layerwise;
  check_in_parts(drops, Pooling::first_token, {.dropout = draws});
}

TEST_CASE("a masked language model in parts agrees with one process", "[encoder_sequence]") {
  const auto model_of = [](std::optional<Part> held) {
    MaskedLanguageModel<double> model(in_parts(), 1, held);
    randomise_by_name(model, MaskedLanguageModel<double>(in_parts(), 1, Part{0, 1}).partial_parameters());
    return model;
  };
  const TokenMasking masking({.vocabulary = 11, .mask_id = 0, .special_ids = {}, .rate = 0.5});
  const BatchLayout layout = layouts_in_parts(parts_length).front();
  const TokenBatch tokens = drawn_tokens(layout);
  const std::vector<Index> samples{0, 1, 2, 3};
  const auto gradient_of = [&](const MaskedLanguageModel<double>& model, const TokenBatch& its,
                               const EncoderOptions& options, MaskedLanguageModel<double>& gradient) {
    Resources resources(1);
    EncoderCache<double> cache;
    return masked_language_gradient<double>(model, its.layout, masking.apply(its.ids, its.layout, samples, 1, 1),
                                            options, 1, cache, gradient, resources.execution);
  };
  const MaskedLanguageModel<double> whole = model_of({});
  MaskedLanguageModel<double> whole_gradient = zero_gradient(whole);
  const LossSum expected = gradient_of(whole, tokens, {}, whole_gradient);
  REQUIRE(expected.weight > 5);
  Resources alone(1);
  const Matrix<double> embeddings = sentence_embeddings<double>(whole.encoder(), tokens, alone.execution);
  for (const Index ranks : {2, 4}) {
    run_ranks(ranks, [&](ThreadWorld world) {
      const Part held = part_of_rank(parts_length, world.rank(), ranks);
      const MaskedLanguageModel<double> part = model_of(held);
      MaskedLanguageModel<double> gradient = zero_gradient(part);
      const LossSum loss = gradient_of(part, tokens.part(held.begin, held.end), {.sequence = world}, gradient);
      double sums[] = {loss.loss, loss.weight};
      world.sum(std::span<double>(sums));
      CHECK(sums[0] == Approx(expected.loss).epsilon(1e-12));
      CHECK(sums[1] == expected.weight);
      RankGrid<ThreadWorld> grid = make_rank_grid(world, ranks);
      sum_gradients<double>(gradient, grid);
      check_part(gradient, whole_gradient, held);

      Resources resources(1);
      const TokenBatch its = tokens.part(held.begin, held.end);
      const LossSum inferred = masked_language_loss<double>(
          part, its.layout, masking.apply(its.ids, its.layout, samples, 1, 1), resources.execution, world);
      CHECK(inferred.loss == Approx(loss.loss).epsilon(1e-12));
      CHECK((sentence_embeddings<double>(part.encoder(), its, resources.execution, world) - embeddings)
                .cwiseAbs()
                .maxCoeff() <= 1e-12);
    });
  }
}

TEST_CASE("batches and sequences are shared out at once", "[encoder_sequence]") {
  const BatchLayout layout = BatchLayout::from_lengths(std::vector<Index>{parts_length, 3, 8, parts_length});
  const TokenBatch tokens = drawn_tokens(layout);
  constexpr double rate = 0.05;
  const auto train = [&](SequenceClassifier<double>& model, const TokenBatch& its, Index first,
                         const EncoderOptions& options, const auto& sum) {
    Resources resources(1);
    for (std::uint64_t step = 0; step < 3; ++step) {
      EncoderOptions drawn = options;
      drawn.dropout = DropoutAddress{.seed = 1, .step = step, .first_sample = static_cast<std::uint64_t>(first)};
      SequenceClassifier<double> gradient = zero_gradient(model);
      SequenceClassifier<double>::Cache cache;
      const Matrix<double> logits = model.forward(its, drawn, &cache, resources.execution);
      model.backward(its, drawn, cache, logits, gradient, resources.execution);  // of half their squares
      sum(gradient);
      const auto slopes = list_parameters<const double>(std::as_const(gradient));
      std::size_t i = 0;
      model.for_each_parameter([&](const ParameterName&, Shape, std::span<double> values) {
        for (std::size_t j = 0; j < values.size(); ++j) values[j] -= rate * slopes[i].values[j];
        ++i;
      });
    }
  };
  EncoderConfig config = in_parts();
  config.dropout = config.attention_dropout = 0.2;
  SequenceClassifier<double> whole = classifier_of(config, Pooling::mean);
  train(whole, tokens, 0, {}, [](auto&) {});
  run_ranks(4, [&](ThreadWorld world) {
    RankGrid<ThreadWorld> grid = make_rank_grid(world, 2);
    const Part held = part_of_rank(parts_length, grid.sequence.rank(), 2),
               samples = part_of_rank(4, grid.same_part.rank(), 2);
    std::vector<std::vector<std::int32_t>> texts;
    for (Index b = samples.begin; b < samples.end; ++b) {
      texts.emplace_back(tokens.ids.begin() + layout.offset(b), tokens.ids.begin() + layout.offset(b + 1));
    }
    SequenceClassifier<double> part = classifier_of(config, Pooling::mean, held);
    train(part, TokenBatch::from_sequences(texts).part(held.begin, held.end), samples.begin,
          {.sequence = grid.sequence}, [&](auto& gradient) { sum_gradients<double>(gradient, grid); });
    check_part(part, whole, held, 1e-11);  // after three steps
  });
}

TEST_CASE("an encoder of a part takes no other positions, and is no model to be saved", "[encoder_sequence]") {
  const Encoder<double> second(in_parts(), 1, Part{6, parts_length});
  Resources resources(1);
  const TokenBatch tokens = drawn_tokens(BatchLayout::single(parts_length));
  CHECK(second(tokens.part(6, parts_length), resources.execution).allFinite());
  check_error([&] { static_cast<void>(second(tokens, resources.execution)); }, ErrorCode::out_of_range, "tokens");
  CHECK(second.partial_parameters() == std::vector<std::string>{"projections.0.weight", "projections.1.weight",
                                                                "embeddings.position_embeddings.weight"});
  CHECK(Encoder<double>(in_parts(), 1).partial_parameters().empty());
}
