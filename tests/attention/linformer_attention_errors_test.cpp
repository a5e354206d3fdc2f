#include <linformer/attention/linformer_attention.hpp>

#include "support/attention_support.hpp"

#include <functional>

namespace {

constexpr Index huge = Index{1} << 40;

/// n = 8, D = 4, h = 2, context width 3, k = 4.
const AttentionConfig config{
    .sequence_length = 8, .model_width = 4, .heads = 2, .projected_length = 4, .context_width = 3};

}  // namespace

TEST_CASE("configurations that no layer can have") {
  const struct {
    std::function<void(AttentionConfig&)> change;
    ErrorCode code;
    const char* tensor;
  } cases[] = {
      {[](auto& c) { c.heads = 3; }, ErrorCode::invalid_configuration, "heads"},
      {[](auto& c) { c.heads = 0; }, ErrorCode::invalid_configuration, "heads"},
      {[](auto& c) { c.projected_length = 0; }, ErrorCode::invalid_configuration, "projected_length"},
      {[](auto& c) { c.projected_length = -1; }, ErrorCode::invalid_configuration, "projected_length"},
      {[](auto& c) { c.projected_length = 9; }, ErrorCode::invalid_configuration, "projected_length"},
      {[](auto& c) { c.projected_length = {}; }, ErrorCode::invalid_configuration, "projected_length"},
      {[](auto& c) {
         c.projected_length = {4, 4};
       },
       ErrorCode::invalid_configuration, "projected_length"},
      {[](auto& c) {
         c.projected_length = {4, 4, 4}, c.sharing = Sharing::none;
       },
       ErrorCode::invalid_configuration, "projected_length"},
      {[](auto& c) { c.projected_length = 3, c.projection.kind = ProjectionKind::convolution; },
       ErrorCode::invalid_configuration, "projected_length"},
      {[](auto& c) { c.projected_length = 3, c.projection.kind = ProjectionKind::depthwise_convolution; },
       ErrorCode::invalid_configuration, "projected_length"},
      {[](auto& c) { c.masking = Masking::causal; }, ErrorCode::unsupported, "masking"},
      {[](auto& c) { c.masking = Masking::pairwise; }, ErrorCode::unsupported, "masking"},
      {[](auto& c) { c.masking = Masking::relative; }, ErrorCode::unsupported, "masking"},
      {[](auto& c) { c.heads = huge, c.head_width = huge; }, ErrorCode::size_overflow, "heads x head_width"},
      {[](auto& c) { c.model_width = huge, c.heads = 1; }, ErrorCode::size_overflow, "query.weight"},
      {[](auto& c) { c.context_width = huge, c.head_width = huge; }, ErrorCode::size_overflow, "key.weight"},
      {[](auto& c) { c.sequence_length = huge, c.projected_length = huge; }, ErrorCode::size_overflow, "projection"},
  };
  for (const auto& test : cases) {
    AttentionConfig changed = config;
    test.change(changed);
    CAPTURE(&test - cases);
    check_error([&] { LinformerAttention<float>(changed, 1); }, test.code, test.tensor);
  }
}

TEST_CASE("calls that do not fit say so and leave y alone") {
  const auto attention = random_attention<float>(config);
  const Matrix<float> x = random_matrix<float>(5, 4, 1), context = random_matrix<float>(7, 3, 2);
  const Matrix<float> wide = random_matrix<float>(5, 5, 3), long_context = random_matrix<float>(9, 3, 4);
  const Matrix<float> before = Matrix<float>::Constant(5, 4, 3.0F);
  const TokenMask five = TokenMask::Constant(1, 5, true), nine = TokenMask::Constant(1, 9, true);
  const TokenMask pairs = TokenMask::Constant(5, 5, true), context_pairs = TokenMask::Constant(7, 7, true);
  TokenMask late = TokenMask::Constant(1, 9, false);
  late(0, 8) = true;  // one token, but at position n
  const std::vector<Matrix<float>> two{context, context};
  const Batch<float> batch = make_batch<float>(two);
  Probabilities<float> p{before};

  const struct {
    ForwardOptions<float> options;
    ErrorCode code;
    const char* tensor;
  } cases[] = {
      {{}, ErrorCode::shape_mismatch, "context"},  // x as its own context, which is 3 wide
      {{.context = wide}, ErrorCode::shape_mismatch, "context"},
      {{.context = long_context}, ErrorCode::sequence_too_long, "context"},
      {{.context = long_context, .context_mask = nine}, ErrorCode::sequence_too_long, "context"},
      {{.context = long_context, .context_mask = late}, ErrorCode::sequence_too_long, "context"},
      {{.context = context, .mask = nine}, ErrorCode::shape_mismatch, "mask"},
      {{.context = context, .context_mask = five}, ErrorCode::shape_mismatch, "context_mask"},
      {{.context = context, .mask = pairs}, ErrorCode::unsupported, "mask"},
      {{.context = context, .context_mask = context_pairs}, ErrorCode::unsupported, "context_mask"},
      {{.context_mask = five}, ErrorCode::unsupported, "context_mask"},
      {{.context = batch}, ErrorCode::shape_mismatch, "context"},
      {{.threads = 0, .context = context}, ErrorCode::invalid_configuration, "threads"},
      {{.threads = -3, .context = context}, ErrorCode::invalid_configuration, "threads"},
  };
  for (const auto& test : cases) {
    CAPTURE(&test - cases);
    Matrix<float> y = before;
    ForwardOptions<float> options = test.options;
    options.probabilities = &p;
    check_error([&] { attention.forward(x, MatrixRef<float>(y), options); }, test.code, test.tensor);
    CHECK(same_bits(y, before));
    REQUIRE(p.size() == 1);
    CHECK(same_bits(p[0], before));
  }
  Matrix<float> y = before;
  check_error([&] { attention.forward(wide, MatrixRef<float>(y), {.context = context}); }, ErrorCode::shape_mismatch,
              "x");
  check_error([&] { attention.forward(x, y.leftCols(3), {.context = context}); }, ErrorCode::shape_mismatch, "y");
  check_error([&] { attention.forward(x, y.topRows(4), {.context = context}); }, ErrorCode::shape_mismatch, "y");
  CHECK(same_bits(y, before));
  // The rows of queries are not bounded, and absent tokens beyond n do not count.
  CHECK(attention(random_matrix<float>(30, 4, 1), context).rows() == 30);
  TokenMask early = TokenMask::Constant(1, 9, true);
  early(0, 8) = false;
  attention.forward(x, y, {.context = long_context, .context_mask = early});
  CHECK(same_bits(y, attention(x, long_context.topRows(8))));
}

TEST_CASE("longer than n is an error for every mechanism and form") {
  for (const Mechanism mechanism : {Mechanism::linformer, Mechanism::softmax, Mechanism::softmax_tiled}) {
    CAPTURE(mechanism);
    const LinformerAttention<float> attention(
        {.sequence_length = 8, .model_width = 4, .heads = 2, .projected_length = 2, .mechanism = mechanism}, 1);
    const Matrix<float> x = random_matrix<float>(9, 4, 1), fits = x.topRows(8);
    check_error([&] { (void)attention(x); }, ErrorCode::sequence_too_long, "context");
    const std::vector<Matrix<float>> sequences{fits, x};
    const Batch<float> batch = make_batch<float>(sequences);
    check_error([&] { (void)attention(batch); }, ErrorCode::sequence_too_long, "context");
    TokenMask late = TokenMask::Constant(2, 9, true);
    late.row(1).head(5).setConstant(false);  // four tokens, the last at position 8
    late(0, 8) = false;
    const Batch<float> holes = to_ragged(random_matrix<float>(18, 4, 2), MaskView(late));
    check_error([&] { (void)attention(holes); }, ErrorCode::sequence_too_long, "context");
  }
}

TEST_CASE("batches that do not fit") {
  const auto attention = random_attention<float>(config);
  const Matrix<float> x = random_matrix<float>(5, 4, 1), context = random_matrix<float>(7, 3, 2);
  const std::vector<Matrix<float>> two{x, x}, three{context, context, context}, narrow{x, x};
  const Batch<float> queries = make_batch<float>(two), contexts = make_batch<float>(three);
  const TokenMask five = TokenMask::Constant(1, 5, true);
  Batch<float> y;
  check_error([&] { (void)attention(queries, contexts); }, ErrorCode::shape_mismatch, "context");
  check_error([&] { (void)attention(queries, make_batch<float>(narrow)); }, ErrorCode::shape_mismatch, "context");
  check_error([&] { attention.forward(queries, y, {.context = context}); }, ErrorCode::shape_mismatch, "context");
  check_error([&] { attention.forward(queries, y, {.mask = five}); }, ErrorCode::unsupported, "mask");
  check_error([&] { attention.forward(queries, y, {.context = contexts, .context_mask = five}); },
              ErrorCode::unsupported, "mask");
  Batch<float> lies = queries;
  lies.rows.conservativeResize(9, 4);
  check_error([&] { attention.forward(lies, y, {.context = queries}); }, ErrorCode::shape_mismatch, "x");
}

TEST_CASE("an output that overlaps an input is refused before anything is written") {
  const auto attention =
      random_attention<float>({.sequence_length = 8, .model_width = 4, .heads = 2, .projected_length = 2});
  const Matrix<float> before = random_matrix<float>(8, 4, 1), x = random_matrix<float>(8, 4, 2);
  Matrix<float> y = before;
  const auto refused = [&](const auto& call) {
    check_error(call, ErrorCode::aliasing, "y");
    CHECK(same_bits(y, before));
    y = before;
  };
  refused([&] { attention.forward(y, y); });
  refused([&] { attention.forward(x, y, {.context = y}); });
  refused([&] { attention.forward(y.topRows(5), MatrixRef<float>(y.bottomRows(5))); });
  refused([&] { attention.forward(x.topRows(5), MatrixRef<float>(y.topRows(5)), {.context = y.bottomRows(4)}); });
  // Where y would have to be resized, what it holds now is still an input.
  refused([&] { attention.forward(y.topRows(5), y); });
  refused([&] { attention.forward(x.topRows(5), y, {.context = y}); });

  const std::vector<Matrix<float>> sequences{before, x}, shorter{x.topRows(3), x.topRows(2)};
  const Batch<float> batch = make_batch<float>(sequences);
  Batch<float> z = batch;
  check_error([&] { attention.forward(z, z); }, ErrorCode::aliasing, "y");
  check_error([&] { attention.forward(make_batch<float>(shorter), z, {.context = z}); }, ErrorCode::aliasing, "y");
  CHECK(same_bits(z.rows, batch.rows));
  CHECK(z.layout == batch.layout);
  // Apart is apart, even in one allocation.
  attention.forward(y.topRows(4), MatrixRef<float>(y.bottomRows(4)));
  CHECK(same_bits(Matrix<float>(y.bottomRows(4)), attention(before.topRows(4))));
}

TEST_CASE("masks in a batch's call, orders and streams that a layer does not have") {
  const Matrix<float> x = random_matrix<float>(8, 4, 1), before = Matrix<float>::Constant(8, 4, 3.0F);
  AttentionConfig changed{.sequence_length = 8, .model_width = 4, .heads = 2, .projected_length = 4};
  for (const ProjectionKind kind : {ProjectionKind::max_pooling, ProjectionKind::depthwise_convolution}) {
    changed.projection.kind = kind;
    const LinformerAttention<float> attention(changed, 1);
    Matrix<float> y = before;
    check_error([&] { attention.forward(x, MatrixRef<float>(y), {.order = Order::reassociated}); },
                ErrorCode::unsupported, "order");
    CHECK(same_bits(y, before));
    check_error([&] { attention.forward(x, MatrixRef<float>(y), {.order = Order::absorbed}); }, ErrorCode::unsupported,
                "order");
    check_error([&] { (void)attention.empty_context(Order::reassociated); }, ErrorCode::unsupported, "order");
    CHECK(attention.plan(8).order == Order::direct);
  }
  for (const Mechanism mechanism : {Mechanism::softmax, Mechanism::softmax_tiled}) {
    changed.mechanism = mechanism;
    const LinformerAttention<float> attention(changed, 1);
    check_error([&] { (void)attention.empty_context(); }, ErrorCode::unsupported, "projected context");
  }
}

TEST_CASE("growing pooling does not take chunks of a sequence of unknown length") {
  AttentionConfig pooled = config;
  pooled.projection.kind = ProjectionKind::growing_pooling;
  const auto attention = random_attention<float>(pooled);
  auto projected = attention.empty_context();
  check_error([&] { attention.accumulate(projected, random_matrix<float>(2, 3, 1)); }, ErrorCode::unsupported,
              "context");
  CHECK(projected.tokens() == 0);
}

TEST_CASE("a failed chunk leaves the projected context as it was") {
  const auto attention = random_attention<float>(config);
  const Matrix<float> x = random_matrix<float>(5, 4, 1), context = random_matrix<float>(8, 3, 2);
  for (const Order order : {Order::direct, Order::reassociated}) {
    CAPTURE(order);
    auto projected = attention.empty_context(order);
    attention.accumulate(projected, context.topRows(5));
    const auto before = projected;
    const TokenMask four = TokenMask::Constant(1, 4, true);
    const auto fails = [&](const auto& call, ErrorCode code, const char* tensor) {
      check_error(call, code, tensor);
      CHECK(projected.tokens() == before.tokens());
      CHECK(projected.extent() == before.extent());
      CHECK(same_bits(keys_of(attention.keys_values(projected)), keys_of(attention.keys_values(before))));
    };
    fails([&] { attention.accumulate(projected, context.topRows(4)); }, ErrorCode::sequence_too_long, "context");
    fails([&] { attention.accumulate(projected, context.topRows(1), 8); }, ErrorCode::sequence_too_long, "context");
    fails([&] { attention.accumulate(projected, x.topRows(1)); }, ErrorCode::shape_mismatch, "context");
    fails([&] { attention.accumulate(projected, context.topRows(3), {}, {.mask = four}); }, ErrorCode::shape_mismatch,
          "mask");
    fails([&] { attention.accumulate(projected, context.topRows(3), {}, {.threads = 0}); },
          ErrorCode::invalid_configuration, "threads");
    const auto other = attention.empty_context(order == Order::direct ? Order::reassociated : Order::direct);
    fails([&] { projected.merge(other); }, ErrorCode::shape_mismatch, "projected context");
    const LinformerAttention<float> wider(
        {.sequence_length = 8, .model_width = 4, .heads = 2, .projected_length = 5, .context_width = 3}, 1);
    fails([&] { projected.merge(wider.empty_context(order)); }, ErrorCode::shape_mismatch, "projected context");
    attention.accumulate(projected, context.bottomRows(3));
    const auto kv = attention.keys_values(projected);
    Matrix<float> y = Matrix<float>::Constant(5, 4, 3.0F);
    const Matrix<float> filled = y;
    const auto unwritten = [&](const auto& call, ErrorCode code, const char* tensor) {
      check_error(call, code, tensor);
      CHECK(same_bits(y, filled));
    };
    unwritten([&] { attention.attend(context.topRows(5), kv, y); }, ErrorCode::shape_mismatch, "x");
    unwritten([&] { attention.attend(x, kv, y.topRows(4)); }, ErrorCode::shape_mismatch, "y");
    unwritten([&] { attention.attend(x, KeysValues<float>{}, y); }, ErrorCode::shape_mismatch, "keys");
    unwritten([&] { attention.attend(y, kv, y); }, ErrorCode::aliasing, "y");
    attention.attend(x, kv, y);
    const auto expected = oracle::forward(oracle::describe(attention, 5), exact(x), exact(context));
    CHECK(worst_ratio(y, expected.y, expected.y_error) <= 1);
  }
}

TEST_CASE("a layer made by default says so when it is called") {
  const LinformerAttention<float> none;
  const FrozenAttention<float> frozen;
  const Matrix<float> x(3, 0);
  check_error([&] { (void)none(x); }, ErrorCode::invalid_configuration, "attention");
  check_error([&] { (void)frozen(x); }, ErrorCode::invalid_configuration, "attention");
  check_error([&] { (void)none.plan(3); }, ErrorCode::invalid_configuration, "attention");
}

TEST_CASE("projections of kinds that do not go together are an error, or take the order that they allow") {
  AttentionConfig changed{
      .sequence_length = 8, .model_width = 4, .heads = 2, .projected_length = 4, .sharing = Sharing::headwise};
  LinformerAttention<float> attention(changed, 1);
  const Matrix<float> x = random_matrix<float>(5, 4, 1);
  attention.projections().projection(0, 0, Side::value) = Projection<float>(MaxPooling<float>{Windows(4, 8)});
  check_error([&] { (void)attention(x); }, ErrorCode::shape_mismatch, "projections");
  changed.projection.kind = ProjectionKind::mean_pooling;
  LinformerAttention<float> pooling(changed, 1);
  pooling.projections().projection(0, 0, Side::value) = Projection<float>(MaxPooling<float>{Windows(4, 8)});
  CHECK(pooling.plan(8).order == Order::direct);
  CHECK(pooling(x).allFinite());
}

TEST_CASE("memory of absent rows may not be shared either") {
  const LinformerAttention<float> attention({.sequence_length = 8, .model_width = 4, .heads = 2, .projected_length = 4},
                                            1);
  Matrix<float> memory = random_matrix<float>(12, 4, 1);
  const Matrix<float> before = memory, x = random_matrix<float>(8, 4, 2);
  const TokenMask tail = to_mask({true, true, true, false, false, false, false, false});
  const TokenMask holes = to_mask({true, false, true, true, true, true, true, true});
  check_error(
      [&] {
        attention.forward(x, MatrixRef<float>(memory.topRows(8)), {.context = memory.bottomRows(5), .mask = tail});
      },
      ErrorCode::aliasing, "y");
  check_error([&] { attention.forward(memory.topRows(8), MatrixRef<float>(memory.topRows(8)), {.mask = holes}); },
              ErrorCode::aliasing, "y");
  CHECK(same_bits(memory, before));
}

TEST_CASE("a context takes no more tokens than the sequence has, and attend only what it looks at") {
  const LinformerAttention<float> attention({.sequence_length = 8, .model_width = 4, .heads = 2, .projected_length = 4},
                                            1);
  const Matrix<float> x = random_matrix<float>(8, 4, 2);
  auto context = attention.empty_context();
  attention.accumulate(context, x);
  check_error([&] { attention.accumulate(context, x, 0); }, ErrorCode::sequence_too_long, "context");
  Matrix<float> y(8, 4);
  Probabilities<float> p;
  check_error([&] { attention.attend(x, attention.keys_values(context), y, 0, {.probabilities = &p}); },
              ErrorCode::unsupported, "options");
}
