#include <linformer/attention/frozen_weights.hpp>

#include "support/attention_support.hpp"

namespace {

constexpr Index positions = 1400;

const AttentionConfig configs[] = {
    {.sequence_length = positions, .model_width = 24, .heads = 3, .projected_length = 40, .sharing = Sharing::none},
    {.sequence_length = positions, .model_width = 24, .heads = 3, .projected_length = 7, .projection = {.bias = true}},
    {.sequence_length = positions,
     .model_width = 24,
     .heads = 3,
     .projected_length = 600,
     .sharing = Sharing::key_value},
    {.sequence_length = positions,
     .model_width = 24,
     .heads = 2,
     .projected_length = 40,
     .projection = {.kind = ProjectionKind::gaussian, .scale = FixedScale::preserving},
     .head_width = 10,
     .projected_bias = true},
    {.sequence_length = positions,
     .model_width = 24,
     .heads = 2,
     .projected_length = 50,
     .projection = {.kind = ProjectionKind::depthwise_convolution}},
    {.sequence_length = positions, .model_width = 24, .heads = 3, .mechanism = Mechanism::softmax},
    {.sequence_length = positions, .model_width = 24, .heads = 3, .mechanism = Mechanism::softmax_tiled},
};

/// cos of the angle between two matrices as vectors.
double cosine(const Matrix<float>& a, const Matrix<float>& b) {
  const oracle::Table x = exact(a), y = exact(b);
  return x.cwiseProduct(y).sum() / (x.norm() * y.norm());
}

std::vector<std::optional<Order>> orders_of(const AttentionConfig& config) {
  if (config.mechanism != Mechanism::linformer) return {std::nullopt};
  if (config.projection.kind == ProjectionKind::depthwise_convolution) return {Order::direct};
  return {Order::direct, Order::reassociated, Order::absorbed};
}

}  // namespace

TEST_CASE("a frozen layer gives the same bits as the layer that it was made from", "[frozen]") {
  for (const AttentionConfig& config : configs) {
    const auto attention = random_attention<float>(config);
    const FrozenAttention<float> frozen = attention.frozen();
    const Matrix<float> x = random_matrix<float>(1100, 24, 1);
    for (const auto& order : orders_of(config)) {
      for (const Isa isa : supported_isas()) {
        CAPTURE(config.mechanism, config.projected_length.list(), order, name_of(isa));
        Matrix<float> y, z;
        attention.forward(x, y, {.order = order, .isa = isa});
        frozen.forward(x, z, {.order = order, .isa = isa});
        if (isa == Isa::eigen) {  // whose products look at strides
          CHECK((y - z).norm() <= 1e-5F * y.norm());
        } else {
          CHECK(same_bits(y, z));
        }
      }
    }
  }
}

TEST_CASE("a frozen layer is a value of its own", "[frozen]") {
  auto attention = random_attention<float>(configs[1]);
  const FrozenAttention<float> frozen = attention.frozen(), copy = frozen;
  const Matrix<float> x = random_matrix<float>(100, 24, 1), before = frozen(x);
  randomise(attention, 7);
  CHECK(same_bits(frozen(x), before));
  CHECK(same_bits(copy(x), before));
  CHECK_FALSE(same_bits(attention(x), before));
  CHECK(frozen.plan(100).order == attention.plan(100).order);
}

TEST_CASE("a frozen layer streams, with masks, from any position", "[frozen]") {
  const auto attention = random_attention<float>(configs[0]);
  const Matrix<float> x = random_matrix<float>(900, 24, 1);
  const auto present = present_tokens(MaskKind::holes, 900);
  const TokenMask mask = to_mask(present);
  for (const Precision precision : {Precision::full, Precision::bf16}) {
    const FrozenAttention<float> frozen = attention.frozen(precision);
    for (const Order order : {Order::direct, Order::reassociated, Order::absorbed}) {
      CAPTURE(precision, order);
      auto streamed = frozen.empty_context(order);
      auto holes = frozen.empty_context(order);
      for (Index first = 0; first < 900; first += 75) {  // odd positions too
        frozen.accumulate(streamed, x.middleRows(first, 75));
        frozen.accumulate(holes, x.middleRows(first, 75), {}, {.mask = std::span(mask.data() + first, 75)});
      }
      Matrix<float> y(900, 24), whole, masked, part(900, 24);
      frozen.attend(x, frozen.keys_values(streamed), y);
      frozen.forward(x, whole, {.order = order});
      CHECK(cosine(y, whole) >= (precision == Precision::full ? 1 - 1e-9 : 0.9999));
      frozen.attend(x, frozen.keys_values(holes), part);
      frozen.forward(x, masked, {.mask = mask, .order = order});
      for (Index t = 0; t < 900; ++t) {
        if (!present[static_cast<std::size_t>(t)]) part.row(t).setZero();
      }
      CHECK(cosine(part, masked) >= (precision == Precision::full ? 1 - 1e-9 : 0.9999));
    }
  }
}

TEST_CASE("in bf16 a layer is near its result in full precision, on every path", "[frozen]") {
  for (const AttentionConfig& config : configs) {
    const auto attention = random_attention<float>(config);
    const FrozenAttention<float> frozen = attention.frozen(Precision::bf16);
    const Matrix<float> x = random_matrix<float>(1100, 24, 1);
    for (const auto& order : orders_of(config)) {
      Matrix<float> y;
      attention.forward(x, y, {.order = order});
      for (const Isa isa : supported_isas()) {
        CAPTURE(config.mechanism, config.projected_length.list(), order, name_of(isa));
        Matrix<float> z, again;
        frozen.forward(x, z, {.order = order, .isa = isa});
        CHECK(cosine(y, z) >= 0.999);
        CHECK_FALSE(same_bits(y, z));  // it did round
        frozen.forward(x, again, {.threads = 2, .order = order, .isa = isa});
        CHECK(same_bits(z, again));
      }
    }
  }
}

TEST_CASE("bf16 takes half the memory", "[frozen]") {
  const auto attention = random_attention<float>(configs[1]);
  const auto bytes = [&](Precision precision) { return attention.frozen(precision).block().weights().bytes(); };
  const auto biases = static_cast<std::size_t>(4 * 24 * 4);
  CHECK(bytes(Precision::full) - biases == 5 * 24 * 24 * 4);
  CHECK(bytes(Precision::bf16) - biases == 5 * 24 * 24 * 2);
}

TEST_CASE("what bf16 cannot do is an error", "[frozen]") {
  const auto of_double =
      random_attention<double>({.sequence_length = 8, .model_width = 4, .heads = 2, .projected_length = 2});
  check_error([&] { (void)of_double.frozen(Precision::bf16); }, ErrorCode::unsupported, "precision");
  CHECK(of_double.frozen().config().heads == 2);
  const auto odd = random_attention<float>({.sequence_length = 8, .model_width = 6, .heads = 2, .projected_length = 2});
  check_error([&] { (void)odd.frozen(Precision::bf16); }, ErrorCode::unsupported, "precision");
}

TEST_CASE("in bf16 heads of different k do not read what was never written", "[frozen]") {
  for (const ProjectedLength& k : {ProjectedLength{3, 8}, ProjectedLength{1, 2}, ProjectedLength{5, 4}}) {
    const auto attention = random_attention<float>(
        {.sequence_length = 16, .model_width = 8, .heads = 2, .projected_length = k, .sharing = Sharing::none});
    const FrozenAttention<float> frozen = attention.frozen(Precision::bf16);
    const Matrix<float> x = random_matrix<float>(16, 8, 1), bad = Matrix<float>::Constant(16, 8, nan_float);
    for (const Isa isa : supported_isas()) {
      for (const Order order : {Order::direct, Order::reassociated, Order::absorbed}) {
        CAPTURE(k.list(), name_of(isa), order);
        Workspace workspace;
        Matrix<float> y, fresh;
        frozen.forward(bad, y, {.workspace = &workspace, .order = order, .isa = isa});
        CHECK(all_nan(y));
        frozen.forward(x, y, {.workspace = &workspace, .order = order, .isa = isa});
        frozen.forward(x, fresh, {.order = order, .isa = isa});
        CHECK(y.allFinite());
        CHECK(same_bits(y, fresh));
      }
    }
  }
}

TEST_CASE("keys and values of a layer of another precision or other heads are an error", "[frozen]") {
  AttentionConfig config{.sequence_length = 16, .model_width = 8, .heads = 2, .projected_length = 4};
  const auto attention = random_attention<float>(config);
  const auto half = attention.frozen(Precision::bf16);
  config.heads = 4;
  const auto other = random_attention<float>(config);
  const Matrix<float> x = random_matrix<float>(16, 8, 1);
  Matrix<float> y(16, 8);
  auto context = attention.empty_context();
  attention.accumulate(context, x);
  const auto full = attention.keys_values(context);
  check_error([&] { half.attend(x, full, y); }, ErrorCode::shape_mismatch, "keys");
  check_error([&] { other.attend(x, full, y); }, ErrorCode::shape_mismatch, "keys");
  auto half_context = half.empty_context();
  half.accumulate(half_context, x);
  check_error([&] { attention.attend(x, half.keys_values(half_context), y); }, ErrorCode::shape_mismatch, "keys");
}
