#include <linformer/attention/linformer_attention.hpp>

#include "support/attention_support.hpp"

namespace {

constexpr Mechanism dropped_mechanisms[] = {Mechanism::linformer, Mechanism::softmax, Mechanism::softmax_tiled};
constexpr DropoutAddress address{.seed = 11, .step = 3, .site = 2, .first_sample = 40};

AttentionConfig small(Mechanism mechanism) {
  return {.sequence_length = 24,
          .model_width = 6,
          .heads = 2,
          .projected_length = 7,
          .mechanism = mechanism,
          .dropout = 0.3};
}

/// A layer that shows P̄ itself: D = n = k = 8, one head, W_V = W_O = E = F = I, W_Q = 0. Of the context I every entry
/// of P̄ is 1/8, and y is P̄ after dropout.
LinformerAttention<float> transparent(Mechanism mechanism, double rate) {
  LinformerAttention<float> attention({.sequence_length = 8,
                                       .model_width = 8,
                                       .heads = 1,
                                       .projected_length = 8,
                                       .mechanism = mechanism,
                                       .dropout = rate},
                                      1);
  attention.for_each_parameter([](const std::string& name, Shape shape, std::span<float> values) {
    std::fill(values.begin(), values.end(), 0.0F);
    if (shape.size() == 2 && name != "query.weight") Eigen::Map<Matrix<float>>(values.data(), 8, 8).setIdentity();
  });
  return attention;
}

Matrix<float> draws(const LinformerAttention<float>& attention, Index queries, const DropoutAddress& at) {
  Matrix<float> y;
  attention.forward(Matrix<float>::Zero(queries, 8), y,
                    {.context = Matrix<float>(Matrix<float>::Identity(8, 8)), .dropout = at});
  return y;
}

}  // namespace

TEST_CASE("dropout is the formula with each draw at its address, P is that before dropout") {
  for (const Mechanism mechanism : dropped_mechanisms) {
    for (const MaskKind kind : {MaskKind::none, MaskKind::tail, MaskKind::holes}) {
      CAPTURE(mechanism, kind);
      const auto attention = random_attention<float>(small(mechanism));
      const auto present = present_tokens(kind, 24);
      const TokenMask mask = to_mask(present);
      Matrix<float> x = random_matrix<float>(24, 6, 1), y;
      const oracle::Dropout dropout{.address = address, .rate = 0.3};
      const auto layer = oracle::describe(attention, 5);
      const auto expected =
          oracle::forward(layer, exact(x), exact(x), {.queries = present, .tokens = present, .dropout = dropout});
      const auto without = oracle::forward(layer, exact(x), exact(x), {.queries = present, .tokens = present});
      poison(x, present);
      Probabilities<float> p;
      attention.forward(x, y, {.mask = mask, .probabilities = &p, .dropout = address});
      CHECK(worst_ratio(y, expected.y, expected.y_error) <= 1);
      for (std::size_t head = 0; head < 2; ++head) {
        CHECK(worst_ratio(p[head], expected.p[head], expected.p_error[head]) <= 1);
      }
      Matrix<float> z;
      attention.forward(x, z, {.mask = mask, .dropout = address});
      CHECK(worst_ratio(z, expected.y, expected.y_error) <= 1);
      // Without an address, in inference, there is none.
      attention.forward(x, z, {.mask = mask});
      CHECK(worst_ratio(z, without.y, without.y_error) <= 1);
      CHECK_FALSE(worst_ratio(z, expected.y, expected.y_error) <= 1);
    }
  }
}

TEST_CASE("a sample has the same draws alone and in any batch") {
  for (const Mechanism mechanism : dropped_mechanisms) {
    CAPTURE(mechanism);
    const auto attention = random_attention<float>(small(mechanism));
    const std::vector<Matrix<float>> sequences{random_matrix<float>(24, 6, 1), random_matrix<float>(9, 6, 2),
                                               random_matrix<float>(17, 6, 3)};
    const auto layer = oracle::describe(attention, 5);
    for (const Index threads : {1, 2}) {
      Batch<float> y;
      attention.forward(make_batch<float>(sequences), y, {.threads = threads, .dropout = address});
      for (Index b = 0; b < 3; ++b) {
        const oracle::Table x = exact(sequences[static_cast<std::size_t>(b)]);
        const auto expected = oracle::forward(
            layer, x, x,
            {.dropout = oracle::Dropout{.address = address, .rate = 0.3, .sample = static_cast<std::uint64_t>(b)}});
        CHECK(worst_ratio(Matrix<float>(y.sequence(b)), expected.y, expected.y_error) <= 1);
        DropoutAddress alone = address;
        alone.first_sample += static_cast<std::uint64_t>(b);
        Matrix<float> z;
        attention.forward(sequences[static_cast<std::size_t>(b)], z, {.dropout = alone});
        CHECK(worst_ratio(z, expected.y, expected.y_error) <= 1);
      }
    }
  }
}

TEST_CASE("tiles, threads and chunks change no draw") {
  // More than one tile of queries, of rows of scores and of keys.
  for (const Mechanism mechanism : dropped_mechanisms) {
    CAPTURE(mechanism);
    AttentionConfig config = small(mechanism);
    config.sequence_length = 700;
    config.projected_length = 600;
    const auto attention = random_attention<float>(config);
    const Matrix<float> x = random_matrix<float>(700, 6, 1);
    const auto expected = oracle::forward(oracle::describe(attention, 5), exact(x), exact(x),
                                          {.dropout = oracle::Dropout{.address = address, .rate = 0.3}});
    Matrix<float> y, z;
    attention.forward(x, y, {.dropout = address});
    CHECK(worst_ratio(y, expected.y, expected.y_error) <= 1);
    attention.forward(x, z, {.threads = 3, .dropout = address});
    CHECK(same_bits(z, y));
    if (mechanism != Mechanism::linformer) continue;
    auto context = attention.empty_context();
    attention.accumulate(context, x);
    const auto kv = attention.keys_values(context);
    for (Index first = 0; first < 700; first += 175) {
      attention.attend(x.middleRows(first, 175), kv, z.middleRows(first, 175), first, {.dropout = address});
    }
    CHECK(worst_ratio(z, expected.y, expected.y_error) <= 1);
  }
}

TEST_CASE("entries are dropped at the configured rate and the rest is scaled to keep the mean") {
  constexpr Index queries = 4000;
  constexpr double entries = 8.0 * queries;
  for (const Mechanism mechanism : dropped_mechanisms) {
    for (const double rate : {0.1, 0.5, 0.9}) {
      CAPTURE(mechanism, rate);
      const auto attention = transparent(mechanism, rate);
      const Matrix<float> y = draws(attention, queries, address);
      const double deviation = std::sqrt(rate * (1 - rate));  // of one Bernoulli draw; six of the mean of all below
      const auto dropped = static_cast<double>((y.array() == 0).count());
      CHECK(std::abs(dropped / entries - rate) <= 6 * deviation / std::sqrt(entries));
      for (Index column = 0; column < 8; ++column) {
        const auto in_column = static_cast<double>((y.col(column).array() == 0).count());
        CHECK(std::abs(in_column / queries - rate) <= 6 * deviation / std::sqrt(double{queries}));
      }
      // Survivors are 1/8/(1 − rate), so that the mean stays 1/8.
      const auto survivors = (y.array() != 0).select(y.array() - static_cast<float>(0.125 / (1 - rate)), 0.0F).eval();
      CHECK(survivors.abs().maxCoeff() <= 8 * std::numeric_limits<float>::epsilon() * 0.125 / (1 - rate));
      const double mean = y.cast<double>().mean();
      CHECK(std::abs(mean - 0.125) <= 6 * 0.125 * deviation / (1 - rate) / std::sqrt(entries) + 1e-6);
    }
    CHECK((draws(transparent(mechanism, 0), 10, address).array() == 0.125F).all());
  }
}

TEST_CASE("another seed, step, site or sample draws independently") {
  constexpr Index queries = 2000;
  constexpr double rate = 0.3, entries = 8.0 * queries;
  const auto attention = transparent(Mechanism::linformer, rate);
  const Matrix<float> y = draws(attention, queries, address);
  CHECK(same_bits(draws(attention, queries, address), y));
  for (int field = 0; field < 4; ++field) {
    CAPTURE(field);
    DropoutAddress other = address;
    std::uint64_t* const fields[] = {&other.seed, &other.step, &other.site, &other.first_sample};
    ++*fields[field];
    const Matrix<float> z = draws(attention, queries, other);
    // Independent draws agree with probability (1 − p)² + p²: six standard deviations.
    const auto agreeing = static_cast<double>(((y.array() == 0) == (z.array() == 0)).count());
    const double agree = (1 - rate) * (1 - rate) + rate * rate;
    CHECK(std::abs(agreeing / entries - agree) <= 6 * std::sqrt(agree * (1 - agree) / entries));
  }
}

TEST_CASE("heads draw independently") {
  // Two heads of equal weights: with the same draws their halves of an identity output would agree.
  LinformerAttention<float> attention(
      {.sequence_length = 8, .model_width = 16, .heads = 2, .projected_length = 8, .head_width = 8, .dropout = 0.5}, 1);
  attention.for_each_parameter([](const std::string& name, Shape shape, std::span<float> values) {
    std::fill(values.begin(), values.end(), 0.0F);
    if (shape.size() != 2 || name == "query.weight") return;
    auto matrix = Eigen::Map<Matrix<float>>(values.data(), shape[0], shape[1]);
    for (Index i = 0; i < shape[0]; ++i) matrix(i, name == "output.dense.weight" ? i : i % 8) = 1;
  });
  Matrix<float> context = Matrix<float>::Zero(8, 16), y;
  context.leftCols(8).setIdentity();
  attention.forward(Matrix<float>::Zero(1000, 16), y, {.context = context, .dropout = address});
  const auto agreeing = static_cast<double>(((y.leftCols(8).array() == 0) == (y.rightCols(8).array() == 0)).count());
  CHECK(std::abs(agreeing / 8000 - 0.5) <= 6 * 0.5 / std::sqrt(8000.0));
}
