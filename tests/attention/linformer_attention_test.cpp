#include <linformer/attention/linformer_attention.hpp>

#include "support/attention_support.hpp"

namespace {

struct KindCase {
  const char* name;
  ProjectionConfig projection;
  Index k;  // of n = 24
};

const KindCase kinds[] = {
    {"learned", {.kind = ProjectionKind::learned}, 7},
    {"learned, r", {.kind = ProjectionKind::learned, .bias = true}, 7},
    {"gaussian", {.kind = ProjectionKind::gaussian}, 7},
    {"gaussian, preserving, stored",
     {.kind = ProjectionKind::gaussian, .scale = FixedScale::preserving, .stored = true},
     9},
    {"rademacher", {.kind = ProjectionKind::rademacher, .bias = true}, 7},
    {"mean pooling", {.kind = ProjectionKind::mean_pooling, .bias = true}, 7},
    {"mean pooling, log count", {.kind = ProjectionKind::mean_pooling, .log_count = true}, 7},
    {"growing pooling", {.kind = ProjectionKind::growing_pooling, .bias = true}, 7},
    {"max pooling", {.kind = ProjectionKind::max_pooling, .bias = true}, 7},
    {"convolution", {.kind = ProjectionKind::convolution, .bias = true}, 8},
    {"depthwise convolution", {.kind = ProjectionKind::depthwise_convolution, .bias = true}, 8},
};
constexpr Sharing sharings[] = {Sharing::none, Sharing::headwise, Sharing::key_value, Sharing::layerwise};
constexpr Order orders[] = {Order::direct, Order::reassociated, Order::absorbed};
constexpr MaskKind masks[] = {MaskKind::none, MaskKind::tail, MaskKind::holes};
constexpr Mechanism mechanisms[] = {Mechanism::linformer, Mechanism::softmax, Mechanism::softmax_tiled};

/// Calls the layer on poisoned input and compares y and P̄ with the oracle.
template <Scalar T>
void check_formula(const LinformerAttention<T>& attention, const oracle::Layer& layer, bool cross, MaskKind mask_kind,
                   std::optional<Order> order, Index rows, Index context_rows) {
  const Index width = attention.config().model_width;
  const auto queries = present_tokens(mask_kind, rows);
  const auto tokens = cross ? present_tokens(mask_kind, context_rows) : queries;
  Matrix<T> x = random_matrix<T>(rows, width, 1), context = x;
  if (cross) context = random_matrix<T>(context_rows, attention.config().context_width, 2);
  const auto expected = oracle::forward(layer, exact(x), exact(context),
                                        {.queries = queries, .tokens = tokens, .absorbed = order == Order::absorbed});
  poison(x, queries);
  poison(context, tokens);

  const TokenMask mask = to_mask(queries), context_mask = to_mask(tokens);
  Probabilities<T> probabilities;
  ForwardOptions<T> options{.order = order};
  if (mask_kind != MaskKind::none) options.mask = mask;
  if (cross) options.context = context;
  if (cross && mask_kind != MaskKind::none) options.context_mask = context_mask;
  for (const Isa isa : supported_isas()) {
    if (std::same_as<T, double> && isa != Isa::eigen) continue;  // the same path
    CAPTURE(isa);
    options.isa = isa;
    options.probabilities = &probabilities;
    Matrix<T> y;
    attention.forward(x, y, options);
    CHECK(worst_ratio(y, expected.y, expected.y_error) <= 1);
    REQUIRE(probabilities.size() == expected.p.size());
    for (std::size_t head = 0; head < expected.p.size(); ++head) {
      CHECK(worst_ratio(probabilities[head], expected.p[head], expected.p_error[head]) <= 1);
    }
    // Without P̄ many keys are taken in tiles.
    options.probabilities = nullptr;
    attention.forward(x, y, options);
    CHECK(worst_ratio(y, expected.y, expected.y_error) <= 1);
  }
}

}  // namespace

TEMPLATE_TEST_CASE("attention is the formula, whatever the projection, sharing, context, mask and order", "", float,
                   double) {
  using T = TestType;
  for (const KindCase& kind : kinds) {
    for (const Sharing sharing : sharings) {
      for (const bool cross : {false, true}) {
        // Cross-attention with widths and biases that differ from the defaults, self-attention with the defaults.
        AttentionConfig config{.sequence_length = 24,
                               .model_width = 6,
                               .heads = 3,
                               .projected_length = kind.k,
                               .sharing = sharing,
                               .projection = kind.projection};
        if (cross) {
          config.head_width = 3;
          config.context_width = 5;
          config.query_key_value_bias = kind.projection.bias;
          config.output_bias = false;
          config.projected_bias = true;
        }
        const bool convolves = kind.k == 8;
        if (sharing == Sharing::none) config.projected_length = {kind.k, convolves ? 6 : 5, convolves ? 12 : 10};
        const auto attention = random_attention<T>(config);
        const auto layer = oracle::describe(attention, 5);
        for (const MaskKind mask : masks) {
          for (const Order order : orders) {
            if (order != Order::direct && !attention.projections().projection(0, 0, Side::key).commutes()) continue;
            CAPTURE(kind.name, sharing, cross, mask, order);
            check_formula<T>(attention, layer, cross, mask, order, cross ? 9 : 21, 24);
          }
        }
      }
    }
  }
}

TEMPLATE_TEST_CASE("attention is the formula over several cuts and tiles", "", float, double) {
  const AttentionConfig config{
      .sequence_length = 1200, .model_width = 24, .heads = 2, .projected_length = 600, .sharing = Sharing::headwise};
  const auto attention = random_attention<TestType>(config);
  const auto layer = oracle::describe(attention, 5);
  for (const Order order : orders) {
    CAPTURE(order);
    check_formula<TestType>(attention, layer, true, MaskKind::holes, order, 300, 1100);
  }
}

TEMPLATE_TEST_CASE("softmax attention is its formula, materialised and tiled", "", float, double) {
  for (const Mechanism mechanism : {Mechanism::softmax, Mechanism::softmax_tiled}) {
    const AttentionConfig config{
        .sequence_length = 600, .model_width = 6, .heads = 2, .mechanism = mechanism, .head_width = 4};
    const auto attention = random_attention<TestType>(config);
    const auto layer = oracle::describe(attention, 5);
    for (const MaskKind mask : masks) {
      CAPTURE(mechanism, mask);
      check_formula<TestType>(attention, layer, false, mask, {}, 21, 21);
      check_formula<TestType>(attention, layer, true, mask, {}, 9, 600);  // more than one tile of keys
    }
  }
}

TEST_CASE("with k = n and identities for E and F attention is softmax attention") {
  AttentionConfig config{.sequence_length = 20, .model_width = 8, .heads = 2, .projected_length = 20};
  auto attention = random_attention<double>(config);
  attention.projections().for_each_parameter([](const std::string&, Shape, std::span<double> values) {
    Eigen::Map<Matrix<double>>(values.data(), 20, 20).setIdentity();
  });
  const Matrix<double> x = random_matrix<double>(20, 8, 3);  // k rows of zeros would take part otherwise
  for (const Mechanism mechanism : {Mechanism::softmax, Mechanism::softmax_tiled}) {
    config.mechanism = mechanism;
    LinformerAttention<double> softmax(config, 1);
    softmax.block() = AttentionBlock<double>(config, 1);
    softmax.block().weights() = attention.block().weights();
    const auto expected = oracle::forward(oracle::describe(softmax, 1), x, x);
    CHECK(worst_ratio(softmax(x), expected.y, expected.y_error) <= 1);
    const Matrix<double> y = attention(x);
    CHECK(worst_ratio(y, expected.y, 2 * expected.y_error) <= 1);
  }
}

TEST_CASE("headwise sharing with equal weights equals no sharing") {
  AttentionConfig config{.sequence_length = 16,
                         .model_width = 6,
                         .heads = 3,
                         .projected_length = 5,
                         .sharing = Sharing::headwise,
                         .projection = {.bias = true}};
  const auto headwise = random_attention<double>(config);
  config.sharing = Sharing::none;
  LinformerAttention<double> none(config, 5);
  oracle::Parameters parameters;
  oracle::collect(headwise, parameters);
  none.for_each_parameter([&](const std::string& name, Shape, std::span<double> values) {
    std::string shared = name;  // projections.0.HEAD.key.weight → projections.0.key.weight
    if (name.starts_with("projections.")) shared.erase(std::string("projections.0").size(), 2);
    const auto& table = parameters.at(shared);
    std::copy_n(table.data(), values.size(), values.data());
  });
  const Matrix<double> x = random_matrix<double>(16, 6, 3);
  for (const Order order : orders) {
    const auto expected = oracle::forward(oracle::describe(headwise, 5), x, x, {.absorbed = order == Order::absorbed});
    Matrix<double> y, z;
    headwise.forward(x, y, {.order = order});
    none.forward(x, z, {.order = order});
    CHECK(worst_ratio(y, expected.y, expected.y_error) <= 1);
    CHECK(worst_ratio(z, y, expected.y_error) <= 1);
  }
}

TEST_CASE("log-count pooling of equal tokens equals softmax attention") {
  AttentionConfig config{.sequence_length = 22,
                         .model_width = 4,
                         .heads = 2,
                         .projected_length = 5,
                         .projection = {.kind = ProjectionKind::mean_pooling, .log_count = true}};
  const auto pooled = random_attention<double>(config);
  config.mechanism = Mechanism::softmax;
  const auto softmax = random_attention<double>(config);
  const auto present = present_tokens(MaskKind::holes, 22);
  const TokenMask mask = to_mask(present);
  const Matrix<double> distinct = random_matrix<double>(5, 4, 3), x = random_matrix<double>(6, 4, 4);
  Matrix<double> context(22, 4);
  for (Index i = 0; i < 5; ++i) {
    for (Index t = i * 22 / 5; t < (i + 1) * 22 / 5; ++t) context.row(t) = distinct.row(i);
  }
  poison(context, present);
  Matrix<double> y, z;
  pooled.forward(x, y, {.context = context, .context_mask = mask});
  softmax.forward(x, z, {.context = context, .context_mask = mask});
  Matrix<double> readable = context;
  readable = readable.array().isNaN().select(0, readable);
  const auto expected = oracle::forward(oracle::describe(softmax, 5), x, readable, {.tokens = present});
  CHECK(worst_ratio(z, expected.y, expected.y_error) <= 1);
  CHECK(worst_ratio(y, expected.y, 2 * expected.y_error) <= 1);
}

TEST_CASE("growing pooling of texts of at most k tokens equals softmax attention") {
  AttentionConfig config{.sequence_length = 22,
                         .model_width = 4,
                         .heads = 2,
                         .projected_length = 9,
                         .projection = {.kind = ProjectionKind::growing_pooling}};
  const auto pooled = random_attention<double>(config);
  config.mechanism = Mechanism::softmax;
  const auto softmax = random_attention<double>(config);
  for (const Index length : {1, 5, 9}) {
    const Matrix<double> x = random_matrix<double>(length, 4, 4);
    const auto expected = oracle::forward(oracle::describe(softmax, 5), x, x, {});
    CHECK(worst_ratio(pooled(x), expected.y, expected.y_error) <= 1);
  }
}

TEST_CASE("rows of P sum to one, what takes no part is zero") {
  const auto present = present_tokens(MaskKind::holes, 24);
  const TokenMask mask = to_mask(present);
  const Matrix<float> x = random_matrix<float>(24, 6, 3);
  for (const Mechanism mechanism : mechanisms) {
    AttentionConfig config{.sequence_length = 24,
                           .model_width = 6,
                           .heads = 2,
                           .projected_length = 8,
                           .projection = {.kind = ProjectionKind::mean_pooling},
                           .mechanism = mechanism};
    const auto attention = random_attention<float>(config);
    Probabilities<float> p;
    Matrix<float> y;
    attention.forward(x, y, {.mask = mask, .probabilities = &p});
    const Index columns = mechanism == Mechanism::linformer ? 8 : 24;
    REQUIRE(p.size() == 2);
    for (const Matrix<float>& head : p) {
      REQUIRE(head.rows() == 24);
      REQUIRE(head.cols() == columns);
      for (Index i = 0; i < 24; ++i) {
        // Each entry is within 1/2 ulp of e/s, the sum of which over a row is within γ of one.
        const double sum = head.row(i).cast<double>().sum();
        CHECK(std::abs(sum - (present[static_cast<std::size_t>(i)] ? 1 : 0)) <=
              static_cast<double>(columns + 2) * static_cast<double>(std::numeric_limits<float>::epsilon()));
      }
      for (Index j = 0; j < columns; ++j) {
        // Window 2, tokens 6 to 8, is absent as a whole.
        const bool reached = mechanism == Mechanism::linformer ? j != 2 : present[static_cast<std::size_t>(j)];
        CHECK(head.col(j).isZero(0) == !reached);
      }
    }
  }
}

TEST_CASE("absent tokens have no influence and absent queries give zero") {
  const auto present = present_tokens(MaskKind::holes, 24);
  const TokenMask mask = to_mask(present);
  for (const Mechanism mechanism : mechanisms) {
    for (const KindCase& kind : kinds) {
      if (mechanism != Mechanism::linformer && &kind != kinds) continue;
      CAPTURE(mechanism, kind.name);
      const auto attention = random_attention<float>({.sequence_length = 24,
                                                      .model_width = 6,
                                                      .heads = 2,
                                                      .projected_length = kind.k,
                                                      .projection = kind.projection,
                                                      .mechanism = mechanism});
      Matrix<float> x = random_matrix<float>(24, 6, 3), other = x, y, z;
      poison(x, present);
      for (Index t = 0; t < 24; ++t) {
        if (!present[static_cast<std::size_t>(t)]) other.row(t).setConstant(t % 2 == 0 ? infinity_float : 1e30F);
      }
      attention.forward(x, y, {.mask = mask});
      attention.forward(other, z, {.mask = mask});
      CHECK(same_bits(y, z));
      for (Index t = 0; t < 24; ++t) {
        const bool zero = same_bits(Matrix<float>(y.row(t)), Matrix<float>(Matrix<float>::Zero(1, 6)));
        CHECK(zero == !present[static_cast<std::size_t>(t)]);
      }
    }
  }
}

TEST_CASE("a context without tokens gives exactly the output bias") {
  for (const Mechanism mechanism : mechanisms) {
    for (const KindCase& kind : kinds) {
      if (mechanism != Mechanism::linformer && &kind != kinds) continue;
      CAPTURE(mechanism, kind.name);
      const auto attention = random_attention<float>({.sequence_length = 24,
                                                      .model_width = 6,
                                                      .heads = 2,
                                                      .projected_length = kind.k,
                                                      .projection = kind.projection,
                                                      .mechanism = mechanism,
                                                      .projected_bias = true});
      const Matrix<float> x = random_matrix<float>(5, 6, 3), some = random_matrix<float>(4, 6, 4), none(0, 6);
      const Matrix<float> bias = attention.block().weights().output.bias.transpose().replicate(5, 1);
      CHECK(same_bits(attention(x, none), bias));
      const TokenMask no_token = TokenMask::Constant(1, 4, false);
      Probabilities<float> p;
      Matrix<float> y;
      attention.forward(x, y, {.context = some, .context_mask = no_token, .probabilities = &p});
      CHECK(same_bits(y, bias));
      REQUIRE(p.size() == 2);
      CHECK(same_bits(p[1], Matrix<float>(Matrix<float>::Zero(5, mechanism == Mechanism::linformer ? kind.k : 4))));
    }
  }
}

TEST_CASE("sequences and batches without tokens") {
  for (const Mechanism mechanism : mechanisms) {
    CAPTURE(mechanism);
    const auto attention = random_attention<float>(
        {.sequence_length = 8, .model_width = 4, .heads = 2, .projected_length = 2, .mechanism = mechanism});
    const Matrix<float> nothing(0, 4), x = random_matrix<float>(3, 4, 1);
    CHECK(attention(nothing).rows() == 0);
    CHECK(attention(nothing, x).rows() == 0);
    CHECK(attention(Batch<float>{{}, nothing}).rows.rows() == 0);

    Matrix<float> y = x;
    const TokenMask no_token = TokenMask::Constant(1, 3, false);
    Probabilities<float> p;
    attention.forward(x, y, {.mask = no_token, .probabilities = &p});
    CHECK(same_bits(y, Matrix<float>(Matrix<float>::Zero(3, 4))));
    REQUIRE(p.size() == 2);
    CHECK(p[0].rows() == 3);
    CHECK(p[0].isZero(0));

    // A batch in which one sequence is empty, and one has no context.
    const std::vector<Matrix<float>> sequences{x, nothing, x}, contexts{x, x, nothing};
    const Batch<float> batch = make_batch<float>(sequences), context = make_batch<float>(contexts);
    const Batch<float> z = attention(batch, context);
    CHECK(z.layout == batch.layout);
    CHECK(same_bits(Matrix<float>(z.sequence(0)), attention(x, x)));
    CHECK(same_bits(Matrix<float>(z.sequence(2)), attention(x, nothing)));
  }
}

TEST_CASE("a NaN in a present token propagates as the mathematics says") {
  for (const Mechanism mechanism : mechanisms) {
    for (const KindCase& kind : kinds) {
      if (mechanism != Mechanism::linformer && &kind != kinds) continue;
      CAPTURE(mechanism, kind.name);
      const auto attention = random_attention<float>({.sequence_length = 24,
                                                      .model_width = 6,
                                                      .heads = 2,
                                                      .projected_length = kind.k,
                                                      .projection = kind.projection,
                                                      .mechanism = mechanism});
      Matrix<float> x = random_matrix<float>(5, 6, 3), context = random_matrix<float>(24, 6, 4);
      // Of a query: its row alone.
      const Matrix<float> clean = attention(x, context);
      x(3, 1) = nan_float;
      Matrix<float> y = attention(x, context);
      CHECK(all_nan(Matrix<float>(y.row(3))));
      y.row(3) = clean.row(3);
      CHECK(same_bits(y, clean));
      // Of a key: every softmax sums over it.
      x(3, 1) = 0;
      context(20, 2) = nan_float;
      CHECK(all_nan(attention(x, context)));
    }
  }
}

TEST_CASE("NaN and infinity reach only the projected rows that the token reaches") {
  const float values[] = {nan_float, infinity_float, -infinity_float};
  for (const KindCase& kind : kinds) {
    if (kind.projection.kind == ProjectionKind::growing_pooling) continue;  // has other windows, and no chunks
    // One feature, so that no zero weight meets an infinity.
    auto attention = random_attention<float>(
        {.sequence_length = 24, .model_width = 1, .heads = 1, .projected_length = 8, .projection = kind.projection});
    for (const Order order : {Order::direct, Order::reassociated}) {
      if (order == Order::reassociated && !attention.projections().projection(0, 0, Side::key).commutes()) continue;
      for (const float value : values) {
        CAPTURE(kind.name, order, value);
        Matrix<float> x = random_matrix<float>(24, 1, 4);
        x(13, 0) = value;  // window 4, tokens 12 to 14
        auto context = attention.empty_context(order);
        // In three chunks: sums that carry their rounding error must keep an infinity.
        for (const Index first : {0, 8, 16}) attention.accumulate(context, x.middleRows(first, 8));
        const KeysValues<float> kv = attention.keys_values(context);
        REQUIRE(kv.rows() == 8);
        const bool local = attention.projections().projection(0, 0, Side::key).local();
        const bool maximum = kind.projection.kind == ProjectionKind::max_pooling;
        for (Index i = 0; i < 8; ++i) {
          const bool reached = !local || i == 4;
          for (const float row : {kv.keys(0, kv.rows())(0, i), kv.values()(i, 0)}) {
            CAPTURE(i, row);
            if (!reached)
              CHECK(std::isfinite(row));
            else if (std::isnan(value))
              CHECK(std::isnan(row));
            else if (!maximum)
              CHECK(std::isinf(row));
            else
              CHECK(!std::isnan(row));
          }
        }
      }
    }
  }
}
