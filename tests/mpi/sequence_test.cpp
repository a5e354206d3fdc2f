#include <linformer/model/sequence_classifier.hpp>
#include <linformer/mpi/world.hpp>
#include <linformer/train/sequence_gradients.hpp>

#include "support/resources.hpp"
#include "support/sequence_parts.hpp"

TEST_CASE("processes with parts of sequences agree with one", "[mpi]") {
  const EncoderConfig config{.vocabulary_size = 11,
                             .sequence_length = 40,
                             .layers = 2,
                             .model_width = 6,
                             .heads = 2,
                             .feed_forward_width = 7,
                             .projected_length = 4,
                             .dropout = 0.1,
                             .attention_dropout = 0.1};
  const auto model_of = [&](std::optional<Part> held) {
    return SequenceClassifier<double>(config, 3, Pooling::mean, 1, held);
  };
  const TokenBatch tokens = TokenBatch::from_sequences(
      std::vector<std::vector<std::int32_t>>{{1, 4, 4, 8, 2}, std::vector<std::int32_t>(40, 3), {}, {5}});
  const Matrix<double> r = random_rows(4, 3, 2);
  const auto gradient_of = [&](const SequenceClassifier<double>& model, const TokenBatch& its, EncoderOptions options) {
    options.dropout = DropoutAddress{.seed = 3, .step = 1};
    Resources resources(1);
    SequenceClassifier<double>::Cache cache;
    SequenceClassifier<double> gradient = zero_gradient(model);
    const Matrix<double> logits = model.forward(its, options, &cache, resources.execution);
    model.backward(its, options, cache, r, gradient, resources.execution);
    return std::pair(logits, gradient);
  };
  const auto [logits, gradient] = gradient_of(model_of({}), tokens, {});

  MpiWorld world(MPI_COMM_WORLD);
  RankGrid<MpiWorld> grid = make_rank_grid(world, world.size());
  const Part held = part_of_rank(config.sequence_length, world.rank(), world.size());
  auto [part_logits, part_gradient] =
      gradient_of(model_of(held), tokens.part(held.begin, held.end), {.sequence = grid.sequence});
  CHECK((part_logits - logits).cwiseAbs().maxCoeff() <= 1e-12 * logits.cwiseAbs().maxCoeff());
  sum_gradients<double>(part_gradient, grid);
  check_part(part_gradient, gradient, held);
}
