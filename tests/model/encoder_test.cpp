#include <linformer/model/encoder.hpp>

#include "support/attention_support.hpp"
#include "support/central_differences.hpp"
#include "support/resources.hpp"

#include <map>

namespace {

constexpr Index length = 10;

EncoderConfig small(Mechanism mechanism = Mechanism::linformer) {
  return {.vocabulary_size = 11,
          .sequence_length = length,
          .layers = 2,
          .model_width = 6,
          .heads = 2,
          .feed_forward_width = 7,
          .mechanism = mechanism,
          .projected_length = 4,
          .dropout = 0,
          .attention_dropout = 0};
}

/// Sequences of 10 and 3 tokens, and one of 6 with holes.
TokenBatch random_tokens(Index vocabulary, Index token_types = 0) {
  TokenMask mask = TokenMask::Constant(3, length, true);
  mask.row(1).tail(7).setConstant(false);
  mask.row(2).tail(2).setConstant(false);
  mask(2, 1) = mask(2, 5) = false;
  TokenBatch tokens{BatchLayout::from_mask(mask), {}};
  std::mt19937 generator(3);
  for (Index i = 0; i < tokens.layout.rows(); ++i) {
    tokens.ids.push_back(static_cast<std::int32_t>(generator() % static_cast<unsigned>(vocabulary)));
  }
  for (Index i = 0; i < tokens.layout.rows() && token_types > 0; ++i) {
    tokens.types.push_back(static_cast<std::int32_t>(generator() % static_cast<unsigned>(token_types)));
  }
  return tokens;
}

template <Scalar T>
Encoder<T> random_encoder(const EncoderConfig& config) {
  Encoder<T> encoder(config, 5);
  randomise(encoder, 100);
  return encoder;
}

void check(const EncoderConfig& config, const EncoderOptions& options = {}) {
  Encoder<double> encoder = random_encoder<double>(config);
  const TokenBatch tokens = random_tokens(config.vocabulary_size, config.token_types);
  Resources resources(1);
  const Matrix<double> r = random_matrix<double>(tokens.layout.rows(), config.model_width, 3);
  Matrix<double> out(r.rows(), r.cols());
  const auto loss = [&] {
    encoder.forward(tokens, out, options, nullptr, resources.execution);
    return out.cwiseProduct(r).sum();
  };
  EncoderCache<double> cache;
  encoder.forward(tokens, out, options, &cache, resources.execution);
  const Matrix<double> with_cache = out;
  loss();
  REQUIRE(out == with_cache);
  Encoder<double> gradient = zero_gradient(encoder);
  Matrix<double> out_gradient = r;
  encoder.backward(tokens, options, cache, out_gradient, gradient, resources.execution);
  check_parameters(encoder, gradient, loss);
}

}  // namespace

TEST_CASE("gradients of the encoder are those of central differences", "[encoder]") {
  for (const Mechanism mechanism : {Mechanism::linformer, Mechanism::softmax_tiled}) {
    for (const bool pre_norm : {false, true}) {
      EncoderConfig config = small(mechanism);
      config.pre_norm = pre_norm;
      check(config);
      check(config, {.recompute = true});
    }
  }
}

TEST_CASE("gradients of every sharing mode, of lists of k, of activations and of positions", "[encoder]") {
  for (const Sharing sharing : {Sharing::none, Sharing::headwise, Sharing::key_value, Sharing::layerwise}) {
    EncoderConfig config = small();
    config.sharing = sharing;
    check(config);
  }
  EncoderConfig by_layer = small();
  by_layer.projected_length = {3, 5};
  check(by_layer);
  EncoderConfig by_head = small();
  by_head.sharing = Sharing::none;
  by_head.projected_length = {3, 5, 2, 4};
  check(by_head);
  EncoderConfig other = small();
  other.activation = Gelu::tanh;
  other.positions = PositionKind::sinusoidal;
  check(other);
}

TEST_CASE("gradients of token types, with every kind of positions", "[encoder]") {
  for (const PositionKind positions : {PositionKind::learned, PositionKind::sinusoidal, PositionKind::none}) {
    EncoderConfig config = small();
    config.positions = positions;
    config.token_types = 3;
    check(config);
  }
}

TEST_CASE("a token's type adds its vector to the word's", "[encoder]") {
  EncoderConfig config = small(Mechanism::softmax_tiled);
  config.token_types = 2;
  Encoder<double> typed = random_encoder<double>(config);
  TokenBatch tokens = random_tokens(config.vocabulary_size);
  Resources resources(1);
  // No types are types of 0.
  const Matrix<double> without = typed(tokens, resources.execution);
  tokens.types.assign(tokens.ids.size(), 0);
  REQUIRE(typed(tokens, resources.execution) == without);

  // An encoder of twice the words and no types: those of the upper half have the second type's vector in them.
  tokens.types = random_tokens(config.vocabulary_size, 2).types;
  config.token_types = 0;
  config.vocabulary_size *= 2;
  Encoder<double> plain(config, 1);
  std::map<std::string, Matrix<double>> w;
  typed.for_each_parameter([&](const std::string& name, Shape shape, std::span<const double> values) {
    w[name] = Eigen::Map<const Matrix<double>>(values.data(), shape[0], shape.size() == 2 ? shape[1] : 1);
  });
  const Matrix<double> types = w["embeddings.token_type_embeddings.weight"];
  Matrix<double>& words = w["embeddings.word_embeddings.weight"];
  REQUIRE(types.rows() == 2);
  const Matrix<double> once = words;
  words.resize(2 * once.rows(), once.cols());
  words << once.rowwise() + types.row(0), once.rowwise() + types.row(1);
  plain.for_each_parameter([&](const std::string& name, Shape, std::span<double> values) {
    std::copy_n(w.at(name).data(), values.size(), values.data());
  });
  TokenBatch doubled{tokens.layout, tokens.ids};
  for (std::size_t i = 0; i < doubled.ids.size(); ++i) {
    doubled.ids[i] += tokens.types[i] * static_cast<std::int32_t>(once.rows());
  }
  // Both add the same three vectors in the same order.
  REQUIRE(typed(tokens, resources.execution) == plain(doubled, resources.execution));
  REQUIRE(typed.frozen()(tokens, resources.execution).isApprox(plain(doubled, resources.execution), 1e-12));
  REQUIRE(typed(tokens, resources.execution) != without);
}

TEST_CASE("gradients with dropout everywhere are those of the same draws", "[encoder]") {
  EncoderConfig config = small();
  config.dropout = 0.2;
  config.attention_dropout = 0.3;
  for (const bool recompute : {false, true}) {
    check(config, {.dropout = DropoutAddress{.seed = 3, .step = 9, .first_sample = 4}, .recompute = recompute});
  }
}

TEST_CASE("the encoder is the paper's formula", "[encoder]") {
  // One layer, written out with Eigen in double precision.
  EncoderConfig config = small();
  config.layers = 1;
  Encoder<double> encoder = random_encoder<double>(config);
  TokenBatch tokens{BatchLayout::single(4), {1, 7, 3, 3}};
  std::map<std::string, Matrix<double>> w;
  encoder.for_each_parameter([&](const std::string& name, Shape shape, std::span<const double> values) {
    w[name] = Eigen::Map<const Matrix<double>>(values.data(), shape[0], shape.size() == 2 ? shape[1] : 1);
  });
  const auto norm = [&](Matrix<double> x, const std::string& name) {
    for (Index i = 0; i < x.rows(); ++i) {
      x.row(i).array() -= x.row(i).mean();
      x.row(i) /= std::sqrt(x.row(i).squaredNorm() / static_cast<double>(x.cols()) + config.layer_norm_epsilon);
      x.row(i) = x.row(i).cwiseProduct(w[name + ".weight"].transpose()) + w[name + ".bias"].transpose();
    }
    return x;
  };
  const auto linear = [&](const Matrix<double>& x, const std::string& name) -> Matrix<double> {
    return (x * w[name + ".weight"].transpose()).rowwise() + w[name + ".bias"].col(0).transpose();
  };
  Matrix<double> x(4, 6);
  for (Index i = 0; i < 4; ++i) {
    x.row(i) = w["embeddings.word_embeddings.weight"].row(tokens.ids[static_cast<std::size_t>(i)]) +
               w["embeddings.position_embeddings.weight"].row(i);
  }
  x = norm(x, "embeddings.LayerNorm");
  const std::string layer = "encoder.layer.0.";
  const Matrix<double> e = w["projections.0.weight"].leftCols(4);
  const Matrix<double> q = linear(x, layer + "attention.self.query");
  const Matrix<double> k = e * linear(x, layer + "attention.self.key");
  const Matrix<double> v = e * linear(x, layer + "attention.self.value");
  Matrix<double> attended(4, 6);
  for (Index head = 0; head < 2; ++head) {
    Matrix<double> p =
        (q.middleCols(3 * head, 3) * k.middleCols(3 * head, 3).transpose() / std::sqrt(3.0)).array().exp();
    for (Index i = 0; i < 4; ++i) p.row(i) /= p.row(i).sum();
    attended.middleCols(3 * head, 3) = p * v.middleCols(3 * head, 3);
  }
  x = norm(x + linear(attended, layer + "attention.output.dense"), layer + "attention.output.LayerNorm");
  Matrix<double> inner = linear(x, layer + "intermediate.dense");
  inner = inner.unaryExpr([](double a) { return a * std::erfc(-a / std::sqrt(2.0)) / 2; });
  x = norm(x + linear(inner, layer + "output.dense"), layer + "output.LayerNorm");

  Resources resources(1);
  // Some hundred operations of values about 1, in double.
  REQUIRE((encoder(tokens, resources.execution) - x).cwiseAbs().maxCoeff() < 1e-13);
}

TEST_CASE("the encoder gives the same bits for one thread and two, for a batch and its sequences", "[encoder]") {
  EncoderConfig config{.vocabulary_size = 50,
                       .sequence_length = 300,
                       .layers = 2,
                       .model_width = 32,
                       .heads = 4,
                       .projected_length = 20};
  const Encoder<float> encoder(config, 1);
  TokenBatch tokens{BatchLayout::from_lengths(std::vector<Index>{300, 41, 1}), {}};
  for (Index i = 0; i < tokens.layout.rows(); ++i) tokens.ids.push_back(static_cast<std::int32_t>(i * i % 50));
  const EncoderOptions training{.dropout = DropoutAddress{.seed = 1, .step = 2}};
  const auto run = [&](Index threads) {
    Resources resources(threads);
    EncoderCache<float> cache;
    Matrix<float> out(tokens.layout.rows(), 32);
    encoder.forward(tokens, out, training, &cache, resources.execution);
    Matrix<float> out_gradient = random_matrix<float>(out.rows(), 32, 4);
    Encoder<float> gradient = zero_gradient(encoder);
    encoder.backward(tokens, training, cache, out_gradient, gradient, resources.execution);
    std::vector<float> all(out.data(), out.data() + out.size());
    gradient.for_each_parameter([&](const std::string&, Shape, std::span<float> values) {
      all.insert(all.end(), values.begin(), values.end());
    });
    return all;
  };
  const std::vector<float> one = run(1), two = run(2);
  REQUIRE(std::memcmp(one.data(), two.data(), one.size() * sizeof(float)) == 0);

  // On the vector paths. Eigen's product sums some rows in another order, by where they stand: each of two layers has
  // about six sums of at most 300 terms, of values about 1.
  Resources resources(1);
  const float tolerance =
      resources.execution.isa == Isa::eigen ? 2 * 6 * 300 * std::numeric_limits<float>::epsilon() : 0;
  const Matrix<float> whole = encoder(tokens, resources.execution);
  for (Index b = 0; b < 3; ++b) {
    const auto first = tokens.ids.begin() + tokens.layout.offset(b);
    const TokenBatch alone{BatchLayout::single(tokens.layout.length(b)), {first, first + tokens.layout.length(b)}};
    const Matrix<float> its = whole.middleRows(tokens.layout.offset(b), tokens.layout.length(b));
    REQUIRE((encoder(alone, resources.execution) - its).cwiseAbs().maxCoeff() <= tolerance);
  }
}

TEST_CASE("the encoder names what does not fit", "[encoder]") {
  const Encoder<double> encoder = random_encoder<double>(small());
  Resources resources(1);
  const auto code_of = [&](const TokenBatch& tokens) {
    try {
      static_cast<void>(encoder(tokens, resources.execution));
    } catch (const Error& error) {
      return error.code();
    }
    throw std::logic_error("no error");
  };
  REQUIRE(code_of({BatchLayout::single(3), {1, 2}}) == ErrorCode::shape_mismatch);
  REQUIRE(code_of({BatchLayout::single(2), {1, 11}}) == ErrorCode::out_of_range);
  REQUIRE(code_of({BatchLayout::single(2), {1, -1}}) == ErrorCode::out_of_range);
  REQUIRE(code_of({BatchLayout::single(11), std::vector<std::int32_t>(11, 1)}) == ErrorCode::sequence_too_long);
  REQUIRE(code_of({BatchLayout::single(2), {1, 2}, {0, 1}}) == ErrorCode::out_of_range);
  REQUIRE(code_of({BatchLayout::single(2), {1, 2}, {0}}) == ErrorCode::shape_mismatch);
  REQUIRE_THROWS_AS(Encoder<double>(EncoderConfig{}, 1), Error);
  EncoderConfig config = small();
  config.token_types = 2;
  const Encoder<double> typed = random_encoder<double>(config);
  for (const std::int32_t type : {2, -1}) {
    check_error(
        [&] {
          static_cast<void>(typed({BatchLayout::single(2), {1, 2}, {1, type}}, resources.execution));
        },
        ErrorCode::out_of_range, "token types");
  }
  config.token_types = -1;
  check_error([&] { static_cast<void>(resolved(config)); }, ErrorCode::invalid_configuration, "token_types");
}
