#include <linformer/attention/attention_backward.hpp>

#include "support/attention_support.hpp"
#include "support/central_differences.hpp"

namespace {

/// Sequences of 12, 7 and 1 tokens, and one of 9 with holes, of at most 12.
BatchLayout ragged_layout() {
  TokenMask mask = TokenMask::Constant(4, 12, true);
  mask.row(1).tail(5).setConstant(false);
  mask.row(2).tail(11).setConstant(false);
  mask.row(3).tail(1).setConstant(false);
  mask(3, 2) = mask(3, 6) = false;
  return BatchLayout::from_mask(mask);
}

Batch<double> random_batch(const BatchLayout& layout, Index width, unsigned seed) {
  return {layout, random_matrix<double>(layout.rows(), width, seed)};
}

/// Σ Y∘R of a layer, and its gradients against central differences, for every parameter and every input.
void check(const AttentionConfig& config, ForwardOptions<double> options = {}, bool cross = false) {
  LinformerAttention<double> attention = random_attention<double>(config);
  const AttentionConfig& full = attention.config();
  Batch<double> x = random_batch(ragged_layout(), full.model_width, 1);
  Batch<double> context = random_batch(cross ? BatchLayout::from_lengths(std::vector<Index>{5, 12, 0, 3}) : x.layout,
                                       full.context_width, 2);
  const Matrix<double> r = random_matrix<double>(x.rows.rows(), full.model_width, 3);
  const auto loss = [&] {
    Batch<double> y;
    ForwardOptions<double> its = options;
    if (cross) its.context = context;
    attention.forward(x, y, its);
    return y.rows.cwiseProduct(r).sum();
  };
  LinformerAttention<double> gradient = zero_gradient(attention);
  Matrix<double> x_gradient = Matrix<double>::Zero(x.rows.rows(), x.rows.cols());
  Matrix<double> context_gradient = Matrix<double>::Zero(context.rows.rows(), context.rows.cols());
  attention_backward<double>(attention, x, cross ? context : x, r, x_gradient,
                             cross ? MatrixRef<double>(context_gradient) : MatrixRef<double>(x_gradient), gradient,
                             options);
  const auto values_of_matrix = [](Matrix<double>& m) {
    return std::span<double>(m.data(), static_cast<std::size_t>(m.size()));
  };
  check_parameters(attention, gradient, loss);
  check_values("x", values_of_matrix(x.rows), values_of_matrix(x_gradient), loss);
  if (cross) check_values("context", values_of_matrix(context.rows), values_of_matrix(context_gradient), loss);
}

AttentionConfig small(Sharing sharing, ProjectionKind kind = ProjectionKind::learned) {
  return {.sequence_length = 12,
          .model_width = 6,
          .heads = 2,
          .projected_length = 4,
          .sharing = sharing,
          .projection = {.kind = kind}};
}

}  // namespace

TEST_CASE("gradients of every sharing mode and order are those of central differences", "[attention_backward]") {
  for (const Sharing sharing : {Sharing::none, Sharing::headwise, Sharing::key_value, Sharing::layerwise}) {
    for (const Order order : {Order::direct, Order::reassociated, Order::absorbed}) {
      check(small(sharing), {.order = order});
    }
  }
}

TEST_CASE("gradients of every kind of projection are those of central differences", "[attention_backward]") {
  for (const ProjectionKind kind :
       {ProjectionKind::gaussian, ProjectionKind::rademacher, ProjectionKind::mean_pooling,
        ProjectionKind::growing_pooling, ProjectionKind::max_pooling, ProjectionKind::convolution,
        ProjectionKind::depthwise_convolution}) {
    for (const Sharing sharing : {Sharing::none, Sharing::key_value}) check(small(sharing, kind));
  }
  AttentionConfig counted = small(Sharing::key_value, ProjectionKind::mean_pooling);
  counted.projection.log_count = true;
  check(counted);
  AttentionConfig stored = small(Sharing::headwise, ProjectionKind::gaussian);
  stored.projection.stored = true;
  check(stored);
}

TEST_CASE("gradients of additive vectors, of cross-attention and of heads of their own widths and lengths",
          "[attention_backward]") {
  for (const Order order : {Order::direct, Order::reassociated}) {
    AttentionConfig biased = small(Sharing::headwise);
    biased.projection.bias = true;
    biased.projected_bias = true;
    biased.context_width = 5;
    biased.head_width = 4;
    check(biased, {.order = order}, true);
    AttentionConfig uneven = small(Sharing::none);
    uneven.projected_length = {3, 5};
    check(uneven, {.order = order});
  }
  AttentionConfig pooled = small(Sharing::key_value, ProjectionKind::mean_pooling);
  pooled.projection.bias = true;
  check(pooled, {}, true);
  AttentionConfig plain = small(Sharing::key_value);
  plain.query_key_value_bias = plain.output_bias = false;
  check(plain);
}

TEST_CASE("gradients of softmax attention are those of central differences", "[attention_backward]") {
  for (const Mechanism mechanism : {Mechanism::softmax, Mechanism::softmax_tiled}) {
    AttentionConfig config = small(Sharing::headwise);
    config.mechanism = mechanism;
    check(config);
    check(config, {}, true);
  }
}

TEST_CASE("gradients with dropout are those of the same draws", "[attention_backward]") {
  for (const Mechanism mechanism : {Mechanism::linformer, Mechanism::softmax_tiled}) {
    AttentionConfig config = small(Sharing::key_value);
    config.mechanism = mechanism;
    config.dropout = 0.3;
    check(config, {.dropout = DropoutAddress{.seed = 7, .step = 3, .site = 1, .first_sample = 10}});
  }
}

TEST_CASE("gradients are the same bits with two threads, and agree between paths", "[attention_backward]") {
  const AttentionConfig config{
      .sequence_length = 700, .model_width = 24, .heads = 3, .projected_length = 40, .sharing = Sharing::key_value};
  for (const Mechanism mechanism : {Mechanism::linformer, Mechanism::softmax_tiled}) {
    AttentionConfig its = config;
    its.mechanism = mechanism;
    const LinformerAttention<float> attention = random_attention<float>(its);
    for (const std::vector<Index>& lengths : {std::vector<Index>{700}, std::vector<Index>{700, 3, 400, 0, 513}}) {
      Batch<float> x{BatchLayout::from_lengths(lengths), {}};
      x.rows = random_matrix<float>(x.layout.rows(), 24, 1);
      const Matrix<float> r = random_matrix<float>(x.layout.rows(), 24, 2);
      const auto gradients = [&](Index threads, Isa isa) {
        LinformerAttention<float> gradient = zero_gradient(attention);
        Matrix<float> x_gradient = Matrix<float>::Zero(x.rows.rows(), 24);
        attention_backward<float>(attention, x, x, r, x_gradient, x_gradient, gradient,
                                  {.threads = threads, .isa = isa});
        std::vector<float> all(x_gradient.data(), x_gradient.data() + x_gradient.size());
        gradient.for_each_parameter([&](const std::string&, Shape, std::span<float> values) {
          all.insert(all.end(), values.begin(), values.end());
        });
        return all;
      };
      const std::vector<float> reference = gradients(1, Isa::eigen);
      float largest = 0;
      for (const float value : reference) largest = std::max(largest, std::abs(value));
      for (const auto& [name, isa] : isa_names) {
        if (!is_supported(isa)) continue;
        const std::vector<float> one = gradients(1, isa), two = gradients(2, isa);
        REQUIRE(std::memcmp(one.data(), two.data(), one.size() * sizeof(float)) == 0);
        // Sums of up to 2,000 terms, five products deep: γ of 10,000 terms at u = 6e-8 of the largest magnitude.
        for (std::size_t i = 0; i < one.size(); ++i) REQUIRE(std::abs(one[i] - reference[i]) <= 6e-4F * largest);
      }
    }
  }
}

TEST_CASE("pooling by the maximum hands on every gradient, whatever the path and the length", "[attention_backward]") {
  AttentionConfig config = small(Sharing::key_value, ProjectionKind::max_pooling);
  config.sequence_length = 300;
  config.model_width = 128;
  const LinformerAttention<double> attention = random_attention<double>(config);
  for (const Index length : {1, 257, 300}) {
    const Batch<double> x = random_batch(BatchLayout::single(length), 128, 1);
    const Matrix<double> r = random_matrix<double>(length, 128, 3);
    LinformerAttention<double> gradient = zero_gradient(attention);
    Matrix<double> x_gradient = Matrix<double>::Zero(length, 128);
    attention_backward<double>(attention, x, x, r, x_gradient, x_gradient, gradient);
    // Each row of P̄ sums to one, so V̄'s gradient, and with it that of all tokens' values, sums to Σ r·W_O; sums of
    // some 300 · 128 products below 1.
    const Vector<double> expected = (r * attention.block().weights().output.weight).colwise().sum().transpose();
    const Vector<double>& bias = gradient.block().weights().value.bias;
    REQUIRE((bias - expected).cwiseAbs().maxCoeff() < 4e4 * 1.2e-16 * 128);
  }
}

TEST_CASE("backward names what does not fit, as forward does", "[attention_backward]") {
  const auto code_of = [&](const LinformerAttention<double>& layer, Index rows, const ForwardOptions<double>& options) {
    const Batch<double> x = random_batch(BatchLayout::single(rows), 6, 1);
    Matrix<double> x_gradient = Matrix<double>::Zero(rows, 6);
    LinformerAttention<double> gradient = zero_gradient(layer);
    try {
      attention_backward<double>(layer, x, x, x.rows, x_gradient, x_gradient, gradient, options);
    } catch (const Error& error) {
      return error.code();
    }
    throw std::logic_error("no error");
  };
  REQUIRE(code_of(random_attention<double>(small(Sharing::key_value)), 13, {}) == ErrorCode::sequence_too_long);
  REQUIRE(code_of(random_attention<double>(small(Sharing::key_value, ProjectionKind::depthwise_convolution)), 12,
                  {.order = Order::reassociated}) == ErrorCode::unsupported);
}
