#include <linformer/attention/projected_context.hpp>

#include "support/attention_support.hpp"

namespace {

struct KindCase {
  ProjectionConfig projection;
  Index k;  // of document_length = 1400
};
const KindCase kinds[] = {
    {{.kind = ProjectionKind::learned, .bias = true}, 9},
    {{.kind = ProjectionKind::gaussian}, 9},
    {{.kind = ProjectionKind::rademacher}, 9},
    {{.kind = ProjectionKind::mean_pooling, .log_count = true}, 9},
    {{.kind = ProjectionKind::max_pooling}, 9},
    {{.kind = ProjectionKind::convolution}, 7},
    {{.kind = ProjectionKind::depthwise_convolution}, 7},
};
constexpr Index document_length = 1400;

/// Calls f(attention, order) for every kind and each order that it has.
template <class F>
void for_each_layer(const F& f) {
  for (const KindCase& kind : kinds) {
    for (const Order order : {Order::direct, Order::reassociated}) {
      const auto attention = random_attention<float>({.sequence_length = document_length,
                                                      .model_width = 6,
                                                      .heads = 2,
                                                      .projected_length = kind.k,
                                                      .projection = kind.projection,
                                                      .projected_bias = true});
      if (order == Order::reassociated && !attention.projections().projection(0, 0, Side::key).commutes()) continue;
      CAPTURE(kind.projection.kind, order);
      f(attention, order);
    }
  }
}

/// The streamed form, chunks of the given rows in turn.
Matrix<float> attend_in_chunks(const LinformerAttention<float>& attention, const ProjectedContext<float>& context,
                               const Matrix<float>& x, const std::vector<Index>& chunks) {
  const auto kv = attention.keys_values(context);
  Matrix<float> y(x.rows(), attention.config().model_width);
  std::size_t turn = 0;
  for (Index first = 0; first < x.rows();) {
    const Index rows = std::min(chunks[turn++ % chunks.size()], x.rows() - first);
    attention.attend(x.middleRows(first, rows), kv, y.middleRows(first, rows), first);
    first += rows;
  }
  return y;
}

void accumulate_in_chunks(const LinformerAttention<float>& attention, ProjectedContext<float>& context,
                          const Matrix<float>& x, const std::vector<Index>& chunks,
                          const ForwardOptions<float>& options = {}) {
  std::size_t turn = 0;
  for (Index first = 0; first < x.rows();) {
    const Index rows = std::min(chunks[turn++ % chunks.size()], x.rows() - first);
    attention.accumulate(context, x.middleRows(first, rows), {}, options);
    first += rows;
  }
}

}  // namespace

TEST_CASE("streamed in chunks of any size equals the formula and one call") {
  for_each_layer([](const auto& attention, Order order) {
    const Matrix<float> x = random_matrix<float>(document_length - 13, 6, 1);
    const auto expected = oracle::forward(oracle::describe(attention, 5), exact(x), exact(x),
                                          {.longest_sum = cut_length(document_length)});
    Matrix<float> whole;
    attention.forward(x, whole, {.order = order});
    CHECK(worst_ratio(whole, expected.y, expected.y_error) <= 1);
    for (const std::vector<Index>& chunks : {std::vector<Index>{1, 7, 513, 129}, {511}, {document_length}}) {
      auto context = attention.empty_context(order);
      accumulate_in_chunks(attention, context, x, chunks);
      CHECK(context.tokens() == x.rows());
      CHECK(context.extent() == x.rows());
      const Matrix<float> y = attend_in_chunks(attention, context, x, chunks);
      CHECK(worst_ratio(y, expected.y, expected.y_error) <= 1);
      CHECK(worst_ratio(y, exact(whole), 2 * expected.y_error) <= 1);
    }
  });
}

TEST_CASE("windows of a text are the same whatever cuts it is projected in") {
  const auto attention = random_attention<float>({.sequence_length = 2 * document_length,
                                                  .model_width = 6,
                                                  .heads = 2,
                                                  .projected_length = 9,
                                                  .projection = {.kind = ProjectionKind::growing_pooling}});
  const Matrix<float> x = random_matrix<float>(document_length, 6, 1);
  const auto expected = oracle::forward(oracle::describe(attention, 5), exact(x), exact(x),
                                        {.longest_sum = cut_length(2 * document_length)});
  for (const Order order : {Order::direct, Order::reassociated}) {
    Matrix<float> y;
    attention.forward(x, y, {.order = order});
    CHECK(worst_ratio(y, expected.y, expected.y_error) <= 1);
  }
}

TEST_CASE("chunks in any order and merged parts equal the whole") {
  for_each_layer([](const auto& attention, Order order) {
    const Matrix<float> x = random_matrix<float>(document_length, 6, 1), queries = x.topRows(40);
    const auto expected = oracle::forward(oracle::describe(attention, 5), exact(queries), exact(x),
                                          {.longest_sum = cut_length(document_length)});
    const auto is_whole = [&](const ProjectedContext<float>& context) {
      CHECK(context.tokens() == document_length);
      CHECK(context.extent() == document_length);
      CHECK(worst_ratio(attend_in_chunks(attention, context, queries, {17}), expected.y, expected.y_error) <= 1);
    };
    auto shuffled = attention.empty_context(order);
    for (const Index first : {700, 0, 1300, 100}) {
      const Index end = first == 700 ? 1300 : first == 0 ? 100 : first == 1300 ? document_length : 700;
      attention.accumulate(shuffled, x.middleRows(first, end - first), first);
    }
    is_whole(shuffled);

    auto left = attention.empty_context(order), right = left, none = left;
    attention.accumulate(left, x.topRows(601));
    attention.accumulate(right, x.middleRows(601, 99), 601);
    attention.accumulate(right, x.bottomRows(700));  // goes on where the last chunk ended
    auto merged = left;
    merged.merge(right);
    is_whole(merged);
    auto reversed = right;
    reversed.merge(none);
    reversed.merge(left);
    is_whole(reversed);
    none.merge(left);
    none.merge(right);
    is_whole(none);
  });
}

TEST_CASE("masked chunks equal the masked whole") {
  const auto present = present_tokens(MaskKind::holes, document_length);
  for_each_layer([&](const auto& attention, Order order) {
    Matrix<float> x = random_matrix<float>(document_length, 6, 1);
    const Matrix<float> queries = random_matrix<float>(20, 6, 2);
    const auto expected = oracle::forward(oracle::describe(attention, 5), exact(queries), exact(x),
                                          {.tokens = present, .longest_sum = cut_length(document_length)});
    poison(x, present);
    auto context = attention.empty_context(order);
    for (Index first = 0; first < document_length; first += 175) {
      const oracle::Present part(present.begin() + first, present.begin() + first + 175);
      const TokenMask mask = to_mask(part);
      attention.accumulate(context, x.middleRows(first, 175), first, {.mask = mask});
    }
    CHECK(worst_ratio(attend_in_chunks(attention, context, queries, {20}), expected.y, expected.y_error) <= 1);
  });
}

TEST_CASE("a chunk begins where the last one ended, masked rows at its end among them") {
  const auto attention =
      random_attention<float>({.sequence_length = 12, .model_width = 4, .heads = 2, .projected_length = 3});
  Matrix<float> x = random_matrix<float>(12, 4, 1);
  TokenMask mask = TokenMask::Constant(1, 6, true);
  mask(0, 4) = mask(0, 5) = false;
  auto by_default = attention.empty_context(Order::direct), stated = by_default;
  attention.accumulate(by_default, x.topRows(6), {}, {.mask = mask});
  attention.accumulate(by_default, x.bottomRows(6));
  attention.accumulate(stated, x.topRows(6), 0, {.mask = mask});
  attention.accumulate(stated, x.bottomRows(6), 6);
  CHECK(by_default.tokens() == 10);
  CHECK(by_default.extent() == 12);
  CHECK(same_bits(keys_of(attention.keys_values(by_default)), keys_of(attention.keys_values(stated))));
}

TEST_CASE("threads, pool and workspace change no bit of a streamed call") {
  Workspace workspace;
  ThreadPool pool(2);
  for_each_layer([&](const auto& attention, Order order) {
    const Matrix<float> x = random_matrix<float>(document_length, 6, 1);
    auto alone = attention.empty_context(order), threads = alone, pooled = alone;
    accumulate_in_chunks(attention, alone, x, {1100, 300});
    accumulate_in_chunks(attention, threads, x, {1100, 300}, {.threads = 3});
    accumulate_in_chunks(attention, pooled, x, {1100, 300}, {.workspace = &workspace, .pool = &pool});
    const auto kv = attention.keys_values(alone);
    for (const auto* context : {&threads, &pooled}) {
      const auto other = attention.keys_values(*context);
      CHECK(same_bits(keys_of(other), keys_of(kv)));
      CHECK(same_bits(values_of(other), values_of(kv)));
    }
    Matrix<float> y(document_length, 6), z(document_length, 6);
    attention.attend(x, kv, y);
    attention.attend(x, kv, z, 0, {.threads = 3});
    CHECK(same_bits(z, y));
    attention.attend(x, kv, z, 0, {.workspace = &workspace, .pool = &pool});
    CHECK(same_bits(z, y));
  });
}

TEST_CASE("the error of a long document does not grow with its length") {
  // All terms of all sums have one sign and most of them one value, which is where plain sums in fp32 drift: by about
  // 1e-3 of their size here, a hundred times the bound below. Longest plain sums: the tokens of a chunk, or of a cut.
  constexpr Index length = 200'000;
  const struct {
    ProjectionKind kind;
    Order order;
    Index chunk;
  } cases[] = {
      {ProjectionKind::learned, Order::reassociated, 5},      {ProjectionKind::learned, Order::direct, 5},
      {ProjectionKind::mean_pooling, Order::reassociated, 5}, {ProjectionKind::learned, Order::reassociated, length},
      {ProjectionKind::rademacher, Order::direct, 9999},
  };
  for (const auto& test : cases) {
    CAPTURE(test.kind, test.order, test.chunk);
    auto attention = random_attention<float>({.sequence_length = length,
                                              .model_width = 2,
                                              .heads = 1,
                                              .projected_length = 4,
                                              .sharing = Sharing::key_value,
                                              .projection = {.kind = test.kind}});
    attention.for_each_parameter([](const std::string& name, Shape, std::span<float> values) {
      for (float& value : values) value = name.starts_with("projections") ? 0.1F : std::abs(value) + 0.1F;
    });
    Matrix<float> x = random_matrix<float>(length, 2, 1);
    x = x.cwiseAbs() + Matrix<float>::Constant(length, 2, 0.3F);
    auto context = attention.empty_context(test.order);
    Workspace workspace;
    accumulate_in_chunks(attention, context, x, {test.chunk}, {.workspace = &workspace});
    const auto kv = attention.keys_values(context);

    const auto layer = oracle::describe(attention, 5);
    const oracle::Present all(static_cast<std::size_t>(length), true);
    const Index longest_sum = std::min(test.chunk, cut_length(length));
    const auto zero = oracle::Table::Zero(length, 2);
    const auto keys = project(layer.e[0], oracle::apply(layer.key, exact(x), zero), 2, 0, 2, {}, all, longest_sum);
    const auto values = project(layer.f[0], oracle::apply(layer.value, exact(x), zero), 2, 0, 2, {}, all, longest_sum);
    const double root = std::sqrt(2.0);
    CHECK(worst_ratio(keys_of(kv), keys.value / root, keys.error / root) <= 1);
    CHECK(worst_ratio(values_of(kv), values.value, values.error) <= 1);

    // And the whole layer, for some of the queries.
    const Matrix<float> queries = x.topRows(300);
    const auto expected = oracle::forward(layer, exact(queries), exact(x), {.longest_sum = longest_sum});
    CHECK(worst_ratio(attend_in_chunks(attention, context, queries, {77}), expected.y, expected.y_error) <= 1);
  }
}

TEST_CASE("a context without tokens gives the output bias in the streamed form too") {
  for_each_layer([](const auto& attention, Order order) {
    const Matrix<float> x = random_matrix<float>(3, 6, 1);
    auto context = attention.empty_context(order);
    attention.accumulate(context, x.topRows(0));
    const TokenMask no_token = TokenMask::Constant(1, 3, false);
    attention.accumulate(context, x, 5, {.mask = no_token});
    CHECK(context.tokens() == 0);
    const Matrix<float> bias = attention.block().weights().output.bias.transpose().replicate(3, 1);
    CHECK(same_bits(attend_in_chunks(attention, context, x, {2}), bias));
  });
}

TEST_CASE("positions and contexts that no sequence of the layer has") {
  const auto attention =
      random_attention<float>({.sequence_length = 12, .model_width = 4, .heads = 2, .projected_length = 3});
  const Matrix<float> x = random_matrix<float>(4, 4, 1);
  auto context = attention.empty_context();
  check_error([&] { attention.accumulate(context, x, 9); }, ErrorCode::sequence_too_long, "context");
  check_error([&] { attention.accumulate(context, x, std::numeric_limits<Index>::max() - 1); },
              ErrorCode::sequence_too_long, "context");
  check_error([&] { attention.accumulate(context, x, -1); }, ErrorCode::shape_mismatch, "context");
  CHECK(context.tokens() == 0);
  // A context that is no layer's, or another's.
  ProjectedContext<float> nobodys;
  check_error([&] { attention.accumulate(nobodys, x); }, ErrorCode::shape_mismatch, "projected context");
  check_error([&] { (void)attention.keys_values(nobodys); }, ErrorCode::shape_mismatch, "projected context");
  const LinformerAttention<float> other(
      {.sequence_length = 12, .model_width = 4, .heads = 2, .projected_length = 5, .sharing = Sharing::none}, 1);
  auto others = other.empty_context(Order::direct);
  check_error([&] { attention.accumulate(others, x); }, ErrorCode::shape_mismatch, "projected context");
  check_error([&] { (void)attention.keys_values(others); }, ErrorCode::shape_mismatch, "projected context");
}

TEST_CASE("heads whose projections are the same matrix share a sum") {
  const auto sums = [](Sharing sharing, ProjectionKind kind, Order order) {
    const LinformerAttention<float> attention({.sequence_length = 12,
                                               .model_width = 8,
                                               .heads = 4,
                                               .projected_length = 3,
                                               .sharing = sharing,
                                               .projection = {.kind = kind}},
                                              1);
    return attention.empty_context(order).sums().size();
  };
  CHECK(sums(Sharing::none, ProjectionKind::learned, Order::reassociated) == 8);
  CHECK(sums(Sharing::headwise, ProjectionKind::learned, Order::reassociated) == 2);
  CHECK(sums(Sharing::key_value, ProjectionKind::learned, Order::reassociated) == 1);
  CHECK(sums(Sharing::headwise, ProjectionKind::gaussian, Order::reassociated) == 1);  // E = F is one draw
  CHECK(sums(Sharing::none, ProjectionKind::gaussian, Order::reassociated) == 4);
  CHECK(sums(Sharing::none, ProjectionKind::mean_pooling, Order::reassociated) == 1);
  CHECK(sums(Sharing::key_value, ProjectionKind::learned, Order::direct) == 2);  // one of K, one of V
  CHECK(sums(Sharing::none, ProjectionKind::learned, Order::direct) == 8);
  CHECK(sums(Sharing::headwise, ProjectionKind::depthwise_convolution, Order::direct) == 8);
}
