#include <linformer/attention/attention_backward.hpp>
#include <linformer/parallel/counted_world.hpp>
#include <linformer/train/sequence_gradients.hpp>

#include "support/attention_support.hpp"
#include "support/sequence_parts.hpp"
#include "support/thread_world.hpp"

namespace {

constexpr Index parts_length = 15, parts_width = 6;  // windows of 5 tokens lie across the parts of 2 and of 4 ranks

AttentionConfig in_parts(Sharing sharing, ProjectionKind kind = ProjectionKind::learned) {
  return {.sequence_length = parts_length,
          .model_width = parts_width,
          .heads = 2,
          .projected_length = 3,
          .sharing = sharing,
          .projection = {.kind = kind}};
}

LinformerAttention<double> layer_of(const AttentionConfig& config, std::optional<Part> held = {}) {
  LinformerAttention<double> layer(config, 5, held);
  randomise_by_name(layer, LinformerAttention<double>(config, 5, Part{0, 1}).partial_parameters());
  return layer;
}

/// What one process makes of whole sequences.
struct Whole {
  LinformerAttention<double> layer, gradient;
  Batch<double> x, y;
  Matrix<double> y_gradient, x_gradient;

  Whole(const AttentionConfig& config, Batch<double> of, const ForwardOptions<double>& options)
      : layer(layer_of(config)), gradient(zero_gradient(layer)), x(std::move(of)) {
    y_gradient = random_rows(x.rows.rows(), parts_width, 3);
    x_gradient = Matrix<double>::Zero(x.rows.rows(), parts_width);
    layer.forward(x, y, options);
    attention_backward<double>(layer, x, x, y_gradient, x_gradient, x_gradient, gradient, options);
  }
};

/// The same by several processes, each with its part of each sequence and of E.
void check_ranks(const AttentionConfig& config, const Whole& whole, ForwardOptions<double> options, bool keeps) {
  for (const Index ranks : {1, 2, 3, 4}) {
    run_ranks(ranks, [&](ThreadWorld world) {
      const Part held = part_of_rank(parts_length, world.rank(), ranks);
      CAPTURE(ranks, world.rank(), static_cast<int>(config.sharing), static_cast<int>(config.projection.kind));
      const LinformerAttention<double> layer = layer_of(config, held);
      LinformerAttention<double> gradient = zero_gradient(layer);
      const Batch<double> x = whole.x.part(held.begin, held.end);
      const Matrix<double> y_gradient = Batch<double>{whole.x.layout, whole.y_gradient}.part(held.begin, held.end).rows;
      std::vector<ProjectedContext<double>> contexts;
      ForwardOptions<double> its = options;
      its.sequence = world;
      if (keeps) its.contexts = &contexts;
      Batch<double> y;
      layer.forward(x, y, its);
      check_rows(y.rows, whole.x.layout, whole.y.rows, held);
      Matrix<double> x_gradient = Matrix<double>::Zero(x.rows.rows(), parts_width);
      attention_backward<double>(layer, x, x, y_gradient, x_gradient, x_gradient, gradient, its);
      check_rows(x_gradient, whole.x.layout, whole.x_gradient, held);
      RankGrid<ThreadWorld> grid = make_rank_grid(world, ranks);
      sum_gradients<double>(gradient, grid);
      check_part(gradient, whole.gradient, held);
      const double norm = gradient_norm<double>(gradient, grid);
      ThreadPool alone(1);
      CHECK(norm == Approx(gradient_norm<double>(whole.gradient, alone)).epsilon(1e-12));
    });
  }
}

void check_in_parts(const AttentionConfig& config, const ForwardOptions<double>& options = {}, bool keeps = true) {
  for (const BatchLayout& layout : layouts_in_parts(parts_length)) {
    const Whole whole(config, {layout, random_rows(layout.rows(), parts_width, 1)}, options);
    check_ranks(config, whole, options, keeps);
  }
}

}  // namespace

TEST_CASE("processes with parts of sequences agree with one, in every sharing mode and order", "[sequence]") {
  for (const Sharing sharing : {Sharing::none, Sharing::headwise, Sharing::key_value, Sharing::layerwise}) {
    AttentionConfig config = in_parts(sharing);
    config.projection.bias = config.projected_bias = true;
    for (const Order order : {Order::direct, Order::reassociated, Order::absorbed})
      check_in_parts(config, {.order = order});
    check_in_parts(config, {}, /*keeps=*/false);
  }
}

TEST_CASE("processes with parts of sequences agree with one for every kind of projection", "[sequence]") {
  for (const ProjectionKind kind :
       {ProjectionKind::gaussian, ProjectionKind::rademacher, ProjectionKind::mean_pooling,
        ProjectionKind::growing_pooling, ProjectionKind::max_pooling, ProjectionKind::convolution,
        ProjectionKind::depthwise_convolution}) {
    for (const Sharing sharing : {Sharing::none, Sharing::key_value}) check_in_parts(in_parts(sharing, kind));
  }
  AttentionConfig counted = in_parts(Sharing::key_value, ProjectionKind::mean_pooling);
  counted.projection.log_count = true;
  check_in_parts(counted, {.threads = 2});
  AttentionConfig stored = in_parts(Sharing::headwise, ProjectionKind::gaussian);
  stored.projection.stored = true;
  stored.dropout = 0.3;
  check_in_parts(stored, {.dropout = DropoutAddress{.seed = 7, .step = 3, .site = 1, .first_sample = 10}});
}

TEST_CASE("of equal maxima in several processes the first token takes the gradient", "[sequence]") {
  const AttentionConfig config = in_parts(Sharing::key_value, ProjectionKind::max_pooling);
  const BatchLayout layout = BatchLayout::from_lengths(std::vector<Index>{parts_length, 7});
  Matrix<double> x = Matrix<double>::Zero(layout.rows(), parts_width);
  for (Index i = 0; i < x.rows(); i += 4) x(i, 0) = 1;  // keys of a window are of two kinds, equal to the bit
  const Whole whole(config, {layout, x}, {});
  check_ranks(config, whole, {}, true);
}

TEST_CASE("what processes send does not depend on the length of sequences", "[sequence]") {
  const auto traffic = [](const Sharing sharing, Index length) {
    std::vector<Index> result;
    AttentionConfig config = in_parts(sharing);
    config.sequence_length = length;
    run_ranks(2, [&](ThreadWorld threads) {
      Traffic counted;
      CountedWorld<ThreadWorld> world(threads, counted);
      const Part held = part_of_rank(length, world.rank(), world.size());
      const LinformerAttention<double> layer = layer_of(config, held);
      LinformerAttention<double> gradient = zero_gradient(layer);
      const Batch<double> x{BatchLayout::single(length).part(held.begin, held.end),
                            random_rows(held.size(), parts_width, 1)};
      std::vector<ProjectedContext<double>> contexts;
      const ForwardOptions<double> options{.sequence = world, .contexts = &contexts};
      Batch<double> y;
      layer.forward(x, y, options);
      const Traffic forward = counted;
      Matrix<double> x_gradient = Matrix<double>::Zero(x.rows.rows(), parts_width);
      attention_backward<double>(layer, x, x, y.rows, x_gradient, x_gradient, gradient, options);
      result = {forward.sum.calls, forward.sum.bytes, counted.sum.calls - 1, counted.sum.bytes - forward.sum.bytes,
                counted.maximum.calls};
    });
    return result;
  };
  const auto bytes = [](Index values) { return values * static_cast<Index>(sizeof(double)); };
  for (const Index length : {64, 1024}) {
    CHECK(traffic(Sharing::key_value, length) ==
          std::vector<Index>{1, bytes(3 * (parts_width + 2)), 1, bytes(3 * (parts_width + 1)), 0});
    CHECK(traffic(Sharing::headwise, length) ==
          std::vector<Index>{1, bytes(2 * 3 * (parts_width + 2)), 1, bytes(2 * 3 * (parts_width + 1)), 0});
  }
}

TEST_CASE("what cannot be done in parts is told", "[sequence]") {
  SingleProcess alone;
  AttentionConfig softmax = in_parts(Sharing::headwise);
  softmax.mechanism = Mechanism::softmax_tiled;
  const LinformerAttention<double> standard(softmax, 1);
  const Batch<double> x{BatchLayout::single(4), Matrix<double>::Zero(4, parts_width)};
  Batch<double> y;
  check_error([&] { standard.forward(x, y, {.sequence = alone}); }, ErrorCode::unsupported, "sequence");
  Matrix<double> x_gradient = Matrix<double>::Zero(4, parts_width);
  LinformerAttention<double> gradient = zero_gradient(standard);
  check_error(
      [&] {
        attention_backward<double>(standard, x, x, x.rows, x_gradient, x_gradient, gradient, {.sequence = alone});
      },
      ErrorCode::unsupported, "sequence");
  const LinformerAttention<double> second(in_parts(Sharing::headwise), 1, Part{8, parts_length});
  check_error([&] { second.forward(x, y); }, ErrorCode::out_of_range, "context");
  CHECK_NOTHROW(second.forward({BatchLayout::single(12).part(8, 12), x.rows}, y));
  check_error(
      [&] {
        LinformerAttention<double>(in_parts(Sharing::headwise), 1, Part{8, parts_length + 1});
      },
      ErrorCode::invalid_configuration, "held");
}
