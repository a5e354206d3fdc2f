#include <linformer/model/encoder.hpp>

#include "support/attention_support.hpp"
#include "support/resources.hpp"

#include <thread>

namespace {

constexpr Index n = 150;

EncoderConfig base() {
  return {.vocabulary_size = 40,
          .sequence_length = n,
          .layers = 2,
          .model_width = 24,
          .heads = 2,
          .feed_forward_width = 601,
          .projected_length = 20};
}

/// Every mechanism, sharing mode, kind of positions and place of the norm.
std::vector<EncoderConfig> configs() {
  std::vector<EncoderConfig> result(7, base());
  result[0].sharing = Sharing::key_value;
  result[1].sharing = Sharing::none;
  result[1].projected_length = {20, 7, 11, 30};
  result[1].positions = PositionKind::sinusoidal;
  result[1].pre_norm = true;
  result[2].sharing = Sharing::headwise;
  result[2].projection = {.kind = ProjectionKind::gaussian, .scale = FixedScale::preserving};
  result[2].positions = PositionKind::none;
  result[3].sharing = Sharing::layerwise;
  result[3].activation = Gelu::tanh;
  result[3].pre_norm = true;
  result[4].projection = {.kind = ProjectionKind::max_pooling};
  result[5].mechanism = Mechanism::softmax;
  result[5].pre_norm = true;
  result[6].mechanism = Mechanism::softmax_tiled;
  return result;
}

/// Weights whose products are about as large as what they multiply, so that no layer dies or explodes.
template <Scalar T>
Encoder<T> random_encoder(const EncoderConfig& config) {
  Encoder<T> encoder(config, 5);
  unsigned seed = 100;
  encoder.for_each_parameter([&](const std::string& name, Shape shape, std::span<T> values) {
    fill_values(values, seed++);
    const bool dense = shape.size() == 2 && !name.starts_with("embeddings.");
    const T scale = dense ? std::sqrt(T{12} / static_cast<T>(shape[1])) : T{1};
    const T shift = name.ends_with("LayerNorm.weight") ? T{1} : T{0};
    for (T& value : values) value = value * scale + shift;
  });
  return encoder;
}

/// Sequences of all tokens, of none, of one, and one with holes.
TokenBatch random_tokens() {
  TokenMask mask = TokenMask::Constant(4, n, true);
  mask.row(1).setConstant(false);
  mask.row(2).tail(n - 1).setConstant(false);
  for (Index t = 0; t < n; t += 3) mask(3, t) = false;
  TokenBatch tokens{BatchLayout::from_mask(mask), {}};
  for (Index i = 0; i < tokens.layout.rows(); ++i) tokens.ids.push_back(static_cast<std::int32_t>(i * i % 40));
  return tokens;
}

/// Whether two computations that sum in different orders agree: sums of at most 601 terms, 12 products behind each
/// other, each of which passes errors on about as they are, add up to 12 · 601 units of roundoff in the norm.
template <Scalar T>
bool near(const Matrix<T>& a, const Matrix<T>& b) {
  return (a - b).norm() <= 12 * 601 * std::numeric_limits<T>::epsilon() / 2 * b.norm();
}

double least_cosine(const Matrix<float>& a, const Matrix<float>& b) {
  double least = 1;
  for (Index i = 0; i < a.rows(); ++i) {
    const oracle::Table x = exact<float>(a.row(i)), y = exact<float>(b.row(i));
    least = std::min(least, x.cwiseProduct(y).sum() / (x.norm() * y.norm()));
  }
  return least;
}

template <class Model, Scalar T = float>
Matrix<T> rows_of(const Model& model, const TokenBatch& tokens, const RowSelection& read, Index threads = 1,
                  Isa isa = default_isa()) {
  Resources resources(threads, isa);
  return model(tokens, read, resources.execution);
}

}  // namespace

TEST_CASE("a frozen encoder gives the same bits as the encoder that it was made from", "[frozen_encoder]") {
  const TokenBatch tokens = random_tokens();
  for (const EncoderConfig& config : configs()) {
    const Encoder<float> encoder = random_encoder<float>(config);
    const FrozenEncoder<float> frozen = encoder.frozen();
    for (const Isa isa : supported_isas()) {
      CAPTURE(config.mechanism, config.sharing, config.pre_norm, name_of(isa));
      Resources resources(1, isa), two(2, isa);
      const Matrix<float> y = encoder(tokens, resources.execution), z = frozen(tokens, resources.execution);
      CHECK(near(z, y));
      if (isa != Isa::eigen) CHECK(same_bits(z, y));  // Eigen's products look at strides
      CHECK(same_bits(frozen(tokens, two.execution), z));
    }
  }
  const Encoder<double> encoder = random_encoder<double>(base());
  Resources resources(1);
  CHECK(near(encoder.frozen()(tokens, resources.execution), encoder(tokens, resources.execution)));
}

TEST_CASE("in bf16 an encoder is near its result in full precision, on every path", "[frozen_encoder]") {
  const TokenBatch tokens = random_tokens();
  for (const EncoderConfig& config : configs()) {
    const Encoder<float> encoder = random_encoder<float>(config);
    const FrozenEncoder<float> half = encoder.frozen(Precision::bf16);
    CHECK(half.precision() == Precision::bf16);
    for (const Isa isa : supported_isas()) {
      CAPTURE(config.mechanism, config.sharing, config.pre_norm, name_of(isa));
      Resources resources(1, isa), two(2, isa);
      const Matrix<float> y = encoder(tokens, resources.execution), z = half(tokens, resources.execution);
      CHECK(least_cosine(z, y) >= 0.999);
      CHECK_FALSE(same_bits(z, y));
      CHECK(same_bits(half(tokens, two.execution), z));
    }
  }
}

TEST_CASE("rows that are read are those of the whole", "[frozen_encoder]") {
  const TokenBatch tokens = random_tokens();
  std::vector<Index> some, all;
  for (Index row = 0; row < tokens.layout.rows(); ++row) {
    if (row % 7 == 3) some.push_back(row);
    all.push_back(row);
  }
  for (const EncoderConfig& config : configs()) {
    const Encoder<float> encoder = random_encoder<float>(config);
    const FrozenEncoder<float> frozen = encoder.frozen(), half = encoder.frozen(Precision::bf16);
    Resources resources(1);
    const Matrix<float> whole = frozen(tokens, resources.execution), rounded = half(tokens, resources.execution);
    for (const RowSelection& read : {RowSelection(tokens.layout, some), RowSelection(tokens.layout, all),
                                     RowSelection(tokens.layout, {}), RowSelection::first_tokens(tokens.layout)}) {
      CAPTURE(config.mechanism, config.sharing, config.pre_norm, read.size());
      Matrix<float> expected(read.size(), 24), expected_half(read.size(), 24);
      gather_rows<float>(whole, read.rows(), expected);
      gather_rows<float>(rounded, read.rows(), expected_half);
      const Matrix<float> rows = rows_of(frozen, tokens, read);
      CHECK(near(rows, expected));  // fewer queries may take another order of Linformer
      const bool same_order = config.mechanism != Mechanism::linformer || read.size() == whole.rows();
      if (default_isa() != Isa::eigen && same_order) CHECK(same_bits(rows, expected));
      CHECK(near(rows_of(encoder, tokens, read), expected));
      CHECK(same_bits(rows_of(frozen, tokens, read, 2), rows));
      CHECK(least_cosine(rows_of(half, tokens, read), expected_half) >= 0.999);
    }
  }
  const FrozenEncoder<double> exact_encoder = random_encoder<double>(base()).frozen();
  Resources resources(1);
  const RowSelection read(tokens.layout, some);
  const Matrix<double> whole = exact_encoder(tokens, resources.execution);
  Matrix<double> expected(read.size(), 24);
  gather_rows<double>(whole, read.rows(), expected);
  CHECK(near(exact_encoder(tokens, read, resources.execution), expected));
}

TEST_CASE("rows that are read have the draws of the whole", "[frozen_encoder]") {
  EncoderConfig config = base();
  config.mechanism = Mechanism::softmax_tiled;
  const Encoder<float> encoder = random_encoder<float>(config);
  const TokenBatch tokens = random_tokens();
  const std::vector<Index> some{2, 9, n, n + 4, n + 30};
  const RowSelection read(tokens.layout, some);
  Resources resources(1);
  const EncoderOptions draws{.dropout = DropoutAddress{.seed = 3, .step = 5}};
  EncoderOptions rows_alone = draws;
  rows_alone.read = &read;
  Matrix<float> whole(tokens.layout.rows(), 24), expected(read.size(), 24), rows(read.size(), 24);
  encoder.forward(tokens, whole, draws, nullptr, resources.execution);
  encoder.forward(tokens, rows, rows_alone, nullptr, resources.execution);
  gather_rows<float>(whole, some, expected);
  CHECK(near(rows, expected));
  CHECK_FALSE(near(rows, rows_of(encoder, tokens, read)));
}

TEST_CASE("a frozen encoder is a value of its own", "[frozen_encoder]") {
  Encoder<float> encoder = random_encoder<float>(base());
  const TokenBatch tokens = random_tokens();
  Resources resources(1);
  const FrozenEncoder<float> frozen = encoder.frozen(), copy = frozen;
  const Matrix<float> before = frozen(tokens, resources.execution);
  randomise(encoder, 7);
  CHECK(same_bits(frozen(tokens, resources.execution), before));
  CHECK(same_bits(copy(tokens, resources.execution), before));
}

TEST_CASE("threads may share a frozen encoder", "[frozen_encoder]") {
  const FrozenEncoder<float> frozen = random_encoder<float>(base()).frozen();
  const TokenBatch tokens = random_tokens();
  Resources resources(1);
  const Matrix<float> expected = frozen(tokens, resources.execution);
  Matrix<float> results[2];
  {
    std::vector<std::jthread> threads;
    for (Matrix<float>& result : results) {
      threads.emplace_back([&] {
        Resources own(1);
        result = frozen(tokens, own.execution);
      });
    }
  }
  for (const Matrix<float>& result : results) CHECK(same_bits(result, expected));
}

TEST_CASE("what a frozen encoder or rows to be read cannot do is an error", "[frozen_encoder]") {
  const TokenBatch tokens = random_tokens();
  Resources resources(1);
  const Execution& execution = resources.execution;
  const Encoder<float> encoder = random_encoder<float>(base());
  const FrozenEncoder<float> frozen = encoder.frozen();
  Matrix<float> out(tokens.layout.rows(), 24);
  EncoderCache<float> cache;
  check_error([&] { frozen.forward(tokens, out, {}, &cache, execution); }, ErrorCode::unsupported, "training");
  check_error([&] { frozen.forward(tokens, out, {.dropout = DropoutAddress{}}, nullptr, execution); },
              ErrorCode::unsupported, "training");
  const RowSelection read = RowSelection::first_tokens(tokens.layout);
  check_error([&] { encoder.forward(tokens, out, {.read = &read}, &cache, execution); }, ErrorCode::unsupported,
              "read");
  check_error([&] { encoder.forward(tokens, out, {.read = &read}, nullptr, execution); }, ErrorCode::shape_mismatch,
              "output");
  const RowSelection other = RowSelection::first_tokens(BatchLayout::single(4));
  check_error([&] { (void)encoder(tokens, other, execution); }, ErrorCode::shape_mismatch, "read");

  check_error([&] { (void)random_encoder<double>(base()).frozen(Precision::bf16); }, ErrorCode::unsupported,
              "precision");
  EncoderConfig odd = base();
  odd.heads = 8;
  check_error([&] { (void)Encoder<float>(odd, 1).frozen(Precision::bf16); }, ErrorCode::unsupported, "precision");
}
