#include <linformer/attention/linformer_attention.hpp>

#include "support/attention_support.hpp"

#include <thread>

namespace {

struct ShapeCase {
  const char* name;
  AttentionConfig config;
  Index tokens;
};

/// From shapes that fit a few registers, where products take other paths, to several cuts, tiles of queries and tiles
/// of keys.
std::vector<ShapeCase> shapes() {
  return {
      {"tiny", {.sequence_length = 4, .model_width = 2, .heads = 1, .projected_length = 2}, 3},
      {"one row", {.sequence_length = 8, .model_width = 5, .heads = 1, .projected_length = 1}, 1},
      {"one feature", {.sequence_length = 40, .model_width = 3, .heads = 3, .projected_length = 2}, 11},
      {"odd", {.sequence_length = 90, .model_width = 15, .heads = 3, .projected_length = 7}, 77},
      {"several cuts and tiles",
       {.sequence_length = 2000, .model_width = 18, .heads = 2, .projected_length = 600},
       1100},
  };
}

struct Variant {
  Mechanism mechanism;
  ProjectionKind kind;
  std::optional<Order> order;
};
const Variant variants[] = {
    {Mechanism::linformer, ProjectionKind::learned, Order::direct},
    {Mechanism::linformer, ProjectionKind::learned, Order::reassociated},
    {Mechanism::linformer, ProjectionKind::learned, Order::absorbed},
    {Mechanism::linformer, ProjectionKind::gaussian, Order::direct},
    {Mechanism::linformer, ProjectionKind::rademacher, Order::reassociated},
    {Mechanism::linformer, ProjectionKind::mean_pooling, Order::reassociated},
    {Mechanism::linformer, ProjectionKind::growing_pooling, Order::reassociated},
    {Mechanism::linformer, ProjectionKind::max_pooling, Order::direct},
    {Mechanism::softmax, ProjectionKind::learned, {}},
    {Mechanism::softmax_tiled, ProjectionKind::learned, {}},
};

/// Runs `check(attention, options, tokens)` for all shapes and variants.
template <class Check>
void for_each_case(const Check& check) {
  for (ShapeCase shape : shapes()) {
    for (const Variant& variant : variants) {
      shape.config.mechanism = variant.mechanism;
      shape.config.projection.kind = variant.kind;
      for (const Isa isa : supported_isas()) {
        CAPTURE(shape.name, variant.mechanism, variant.kind, variant.order, isa);
        check(random_attention<float>(shape.config), ForwardOptions<float>{.order = variant.order, .isa = isa},
              shape.tokens);
      }
    }
  }
}

Matrix<float> call(const LinformerAttention<float>& attention, const Matrix<float>& x,
                   const ForwardOptions<float>& options) {
  Matrix<float> y;
  attention.forward(x, y, options);
  return y;
}

}  // namespace

TEST_CASE("a padded tail of NaN changes no bit") {
  for_each_case([](const auto& attention, ForwardOptions<float> options, Index tokens) {
    const Index width = attention.config().model_width;
    const Matrix<float> x = random_matrix<float>(tokens, width, 3);
    const Matrix<float> expected = call(attention, x, options);
    for (const Index padding : {1, 5}) {
      Matrix<float> padded = Matrix<float>::Constant(tokens + padding, width, nan_float);
      padded.topRows(tokens) = x;
      TokenMask mask = TokenMask::Constant(1, tokens + padding, false);
      mask.leftCols(tokens).setConstant(true);
      options.mask = mask;
      const Matrix<float> y = call(attention, padded, options);
      CHECK(same_bits(Matrix<float>(y.topRows(tokens)), expected));
      CHECK(y.bottomRows(padding).isZero(0));
    }
  });
}

TEST_CASE("a padded batch of NaN gives the bits of its sequences") {
  for_each_case([](const auto& attention, const ForwardOptions<float>& options, Index tokens) {
    const Index width = attention.config().model_width;
    const std::vector<Index> lengths{tokens, std::max(tokens / 2, Index{1}), 0, std::max(tokens - 2, Index{1})};
    Matrix<float> padded = Matrix<float>::Constant(4 * tokens, width, nan_float);
    TokenMask mask = TokenMask::Constant(4, tokens, false);
    std::vector<Matrix<float>> sequences;
    for (Index b = 0; b < 4; ++b) {
      const Index length = lengths[static_cast<std::size_t>(b)];
      sequences.push_back(random_matrix<float>(length, width, static_cast<unsigned>(7 + b)));
      padded.middleRows(b * tokens, length) = sequences.back();
      mask.row(b).head(length).setConstant(true);
    }
    Batch<float> from_mask, from_lengths, unpadded;
    attention.forward(to_ragged(padded, MaskView(mask)), from_mask, options);
    attention.forward(to_ragged(padded, std::span<const Index>(lengths)), from_lengths, options);
    attention.forward(make_batch<float>(sequences), unpadded, options);
    CHECK(same_bits(from_mask.rows, unpadded.rows));
    CHECK(same_bits(from_lengths.rows, unpadded.rows));
    CHECK(from_mask.layout == unpadded.layout);
    // Batch and loop may differ in rounding alone.
    const auto layer = oracle::describe(attention, 5);
    if (tokens > 100) return;
    for (Index b = 0; b < 4; ++b) {
      const Matrix<float>& x = sequences[static_cast<std::size_t>(b)];
      const auto expected = oracle::forward(layer, exact(x), exact(x));
      CHECK(worst_ratio(Matrix<float>(unpadded.sequence(b)), exact(call(attention, x, options)),
                        2 * expected.y_error) <= 1);
      CHECK(worst_ratio(Matrix<float>(unpadded.sequence(b)), expected.y, expected.y_error) <= 1);
    }
  });
}

TEST_CASE("a batch with holes is the formula, with P of each sequence") {
  for (const Variant& variant : variants) {
    CAPTURE(variant.mechanism, variant.kind, variant.order);
    const AttentionConfig config{.sequence_length = 24,
                                 .model_width = 6,
                                 .heads = 2,
                                 .projected_length = 8,
                                 .projection = {.kind = variant.kind},
                                 .mechanism = variant.mechanism};
    const auto attention = random_attention<float>(config);
    Matrix<float> padded = random_matrix<float>(3 * 24, 6, 3);
    TokenMask mask(3, 24);
    std::vector<Matrix<float>> clean;
    for (Index b = 0; b < 3; ++b) {
      mask.row(b) = to_mask(present_tokens(static_cast<MaskKind>(b), 24)).row(0);
      clean.push_back(padded.middleRows(b * 24, 24));
      for (Index t = 0; t < 24; ++t) {
        if (!mask(b, t)) padded.row(b * 24 + t).setConstant(nan_float);
      }
    }
    Batch<float> y;
    Probabilities<float> p;
    attention.forward(to_ragged(padded, MaskView(mask)), y, {.probabilities = &p, .order = variant.order});
    const Matrix<float> result = to_padded(y, 24);
    REQUIRE(p.size() == 6);
    for (Index b = 0; b < 3; ++b) {
      const auto present = present_tokens(static_cast<MaskKind>(b), 24);
      const oracle::Table x = exact(clean[static_cast<std::size_t>(b)]);
      const auto expected =
          oracle::forward(oracle::describe(attention, 5), x, x, {.queries = present, .tokens = present});
      CHECK(worst_ratio(Matrix<float>(result.middleRows(b * 24, 24)), expected.y, expected.y_error) <= 1);
      for (std::size_t head = 0; head < 2; ++head) {
        const Matrix<float>& got = p[static_cast<std::size_t>(b) * 2 + head];
        const Positions rows = y.layout.positions(b);
        REQUIRE(got.rows() == rows.count);
        double worst = 0;
        for (Index i = 0; i < rows.count; ++i) {
          worst = std::max(worst, worst_ratio(Matrix<float>(got.row(i)), expected.p[head].row(rows[i]).head(got.cols()),
                                              expected.p_error[head].row(rows[i]).head(got.cols())));
        }
        CHECK(worst <= 1);
      }
    }
  }
}

TEST_CASE("any number of threads, pool and workspace gives the same bits") {
  Workspace workspace;  // one for all shapes, as a service would keep it
  ThreadPool pool(3);
  for_each_case([&](const auto& attention, ForwardOptions<float> options, Index tokens) {
    const Index width = attention.config().model_width;
    const Matrix<float> x = random_matrix<float>(tokens, width, 3);
    const std::vector<Matrix<float>> sequences{x, x.topRows(tokens / 2), random_matrix<float>(tokens, width, 4)};
    const Batch<float> batch = make_batch<float>(sequences);
    Probabilities<float> p, q;
    options.probabilities = &p;
    const Matrix<float> single = call(attention, x, options);
    Batch<float> y, z;
    options.probabilities = nullptr;
    const Matrix<float> tiled = call(attention, x, options);
    attention.forward(batch, y, options);
    for (const Index threads : {2, 3, 5}) {
      CAPTURE(threads);
      options.threads = threads;
      options.probabilities = &q;
      CHECK(same_bits(call(attention, x, options), single));
      CHECK(same_bits(p, q));
      options.probabilities = nullptr;
      CHECK(same_bits(call(attention, x, options), tiled));
      attention.forward(batch, z, options);  // by sequence with 2 and 3 threads, inside each with 5
      CHECK(same_bits(z.rows, y.rows));
    }
    options.workspace = &workspace;
    options.pool = &pool;
    for (int repeat = 0; repeat < 2; ++repeat) {
      CHECK(same_bits(call(attention, x, options), tiled));
      attention.forward(batch, z, options);
      CHECK(same_bits(z.rows, y.rows));
    }
  });
}

TEST_CASE("inputs of either order and blocks of larger matrices give the same bits") {
  using ColumnMajor = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::ColMajor>;
  for_each_case([](const auto& attention, const ForwardOptions<float>& options, Index tokens) {
    const Index width = attention.config().model_width;
    const Matrix<float> x = random_matrix<float>(tokens, width, 3);
    const Matrix<float> expected = call(attention, x, options);
    const ColumnMajor column_major = x;
    Matrix<float> y;
    attention.forward(column_major, y, options);
    CHECK(same_bits(y, expected));
    if (!options.order && options.isa == default_isa()) {
      CHECK(same_bits(attention(column_major), expected));
      CHECK(same_bits(attention(1.0F * column_major), expected));
      CHECK(same_bits(attention(column_major, column_major), expected));
    }
    // A block of input into a block of output, neither aligned nor dense.
    Matrix<float> wide = Matrix<float>::Constant(tokens + 1, width + 3, nan_float);
    wide.block(1, 1, tokens, width) = x;
    Matrix<float> into = Matrix<float>::Constant(tokens + 2, width + 5, 7.0F);
    attention.forward(wide.block(1, 1, tokens, width), into.block(1, 3, tokens, width), options);
    CHECK(same_bits(Matrix<float>(into.block(1, 3, tokens, width)), expected));
    into.block(1, 3, tokens, width).setConstant(7.0F);
    CHECK((into.array() == 7.0F).all());
  });
}

TEST_CASE("const calls from many threads at once") {
  const auto attention = random_attention<float>(
      {.sequence_length = 700, .model_width = 8, .heads = 2, .projected_length = 32, .dropout = 0.2});
  std::vector<Matrix<float>> inputs, expected, got(8);
  for (unsigned i = 0; i < 8; ++i) {
    inputs.push_back(random_matrix<float>(700 - 50 * static_cast<Index>(i), 8, i));
    expected.push_back(attention(inputs.back()));
  }
  std::vector<std::thread> callers;
  for (std::size_t caller = 0; caller < 4; ++caller) {
    callers.emplace_back([&, caller] {
      Workspace workspace;
      for (const std::size_t i : {caller, caller + 4}) {
        attention.forward(inputs[i], got[i], {.threads = caller % 2 == 0 ? 1 : 2, .workspace = &workspace});
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
  for (std::size_t i = 0; i < 8; ++i) CHECK(same_bits(got[i], expected[i]));
}

TEST_CASE("the planner's order is the one taken") {
  const auto attention = random_attention<float>(
      {.sequence_length = 200, .model_width = 16, .heads = 2, .projected_length = 150, .sharing = Sharing::headwise});
  const Matrix<float> x = random_matrix<float>(150, 16, 1), context = random_matrix<float>(200, 16, 2);
  const Matrix<float> few = context.topRows(30);
  for (const Matrix<float>* tokens : {&context, &few}) {
    const Order order = attention.plan(150, tokens->rows()).order;
    const Order other = order == Order::direct ? Order::reassociated : Order::direct;
    Matrix<float> y, z;
    attention.forward(x, y, {.context = *tokens, .order = order});
    attention.forward(x, z, {.context = *tokens, .order = other});
    CHECK(same_bits(attention(x, *tokens), y));
    CHECK_FALSE(same_bits(attention(x, *tokens), z));
  }
  CHECK(attention.empty_context().order() == attention.plan(200).order);
  CHECK(attention.empty_context(Order::direct).order() == Order::direct);
  CHECK(attention.empty_context(Order::reassociated).order() == Order::reassociated);
}
