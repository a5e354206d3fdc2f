#include <linformer/pretrained/conversion.hpp>
#include <linformer/pretrained/conversion_cost.hpp>

#include "support/catch.hpp"
#include "support/files.hpp"
#include "support/resources.hpp"

using namespace linformer;

namespace {

EncoderConfig softmax_config() {
  return {.vocabulary_size = 30,
          .sequence_length = 24,
          .layers = 2,
          .model_width = 8,
          .heads = 2,
          .mechanism = Mechanism::softmax_tiled};
}

/// Of weights so large that attention tells tokens apart.
Encoder<double> original_encoder() {
  Encoder<double> encoder(softmax_config(), 3);
  encoder.for_each_parameter([](const std::string&, Shape shape, std::span<double> values) {
    if (shape.size() == 2) {
      for (double& value : values) value *= 25;
    }
  });
  return encoder;
}

/// Ragged: one sequence as long as it may be, others shorter.
TokenBatch some_tokens(std::initializer_list<Index> lengths) {
  std::vector<std::vector<std::int32_t>> sequences;
  std::int32_t next = 0;
  for (const Index length : lengths) {
    auto& sequence = sequences.emplace_back();
    for (Index i = 0; i < length; ++i) sequence.push_back((next += 7) % 30);
  }
  return TokenBatch::from_sequences(sequences);
}

}  // namespace

TEST_CASE("with k = n a converted encoder is the original", "[conversion]") {
  Resources resources(1);
  const Encoder<double> original = original_encoder();
  for (const Sharing sharing : {Sharing::none, Sharing::headwise, Sharing::key_value, Sharing::layerwise}) {
    for (const ProjectionKind kind :
         {ProjectionKind::learned, ProjectionKind::mean_pooling, ProjectionKind::growing_pooling}) {
      const Encoder<double> linformer =
          to_linformer(original, {.projected_length = 24, .sharing = sharing, .projection = {.kind = kind}});
      // A learned E takes a shorter sequence as padded with zeros, which softmax attention does not.
      const TokenBatch tokens = kind == ProjectionKind::learned ? some_tokens({24}) : some_tokens({24, 1, 9});
      const auto differences = layer_differences(original, linformer, tokens, resources.execution);
      REQUIRE(differences.size() == 3);
      for (const LayerDifference& each : differences) {
        // Layers of at most 32 + 24 terms a sum, some dozens of operations deep, norms aside.
        CHECK(each.relative_error < 1e-12);
        CHECK(each.cosine > 1 - 1e-12);
      }
    }
  }
}

TEST_CASE("a smaller k costs something, and the embeddings nothing", "[conversion]") {
  Resources resources(1);
  const Encoder<double> original = original_encoder();
  const TokenBatch tokens = some_tokens({24, 24});
  for (const ProjectionStart start :
       {ProjectionStart::growing_windows, ProjectionStart::mean_pooling, ProjectionStart::convolution,
        ProjectionStart::gaussian, ProjectionStart::random}) {
    const Encoder<double> linformer = to_linformer(original, {.projected_length = 6, .start = start});
    const auto differences = layer_differences(original, linformer, tokens, resources.execution);
    CHECK(differences.front().relative_error == 0);
    CHECK(differences.front().cosine > 1 - 1e-12);
    CHECK(differences.back().relative_error > 1e-4);
    CHECK(differences.back().cosine < 1 - 1e-8);
  }
}

TEST_CASE("projections start as they are asked to", "[conversion]") {
  const Encoder<double> original = original_encoder();
  const auto weight = [&](ProjectionStart start, Side side) {
    const auto linformer =
        to_linformer(original, {.projected_length = 5, .sharing = Sharing::headwise, .start = start, .seed = 11});
    return std::get<LearnedProjection<double>>(linformer.projections().projection(1, 0, side).kind()).weight;
  };
  const Matrix<double> growing = weight(ProjectionStart::growing_windows, Side::key);
  const Index begins[] = {0, 1, 2, 3, 7, 24};  // 19·(i/5)⁸ is 0.01 for i = 2, 0.3 for 3, 3.2 for 4
  for (Index row = 0; row < 5; ++row) {
    for (Index token = 0; token < 24; ++token) {
      const bool inside = token >= begins[row] && token < begins[row + 1];
      CHECK(growing(row, token) == (inside ? 1.0 / static_cast<double>(begins[row + 1] - begins[row]) : 0.0));
    }
  }
  const Matrix<double> pooling = weight(ProjectionStart::mean_pooling, Side::key);
  for (Index row = 0; row < 5; ++row) {
    const Index first = row * 24 / 5, end = (row + 1) * 24 / 5;
    for (Index token = 0; token < 24; ++token) {
      const bool inside = token >= first && token < end;
      CHECK(pooling(row, token) == (inside ? 1.0 / static_cast<double>(end - first) : 0.0));
    }
  }
  const Matrix<double> triangles = weight(ProjectionStart::convolution, Side::key);
  for (Index row = 0; row < 5; ++row) {  // in tenths of a token: windows of 48, tokens at 5, 15, …
    Index sum = 0;
    for (Index token = 0; token < 24; ++token) sum += std::max(Index{0}, 48 - std::abs(10 * token + 5 - 48 * row - 24));
    for (Index token = 0; token < 24; ++token) {
      const Index part = std::max(Index{0}, 48 - std::abs(10 * token + 5 - 48 * row - 24));
      CHECK(std::abs(triangles(row, token) - static_cast<double>(part) / static_cast<double>(sum)) < 1e-14);
    }
  }
  CHECK(weight(ProjectionStart::gaussian, Side::key) == weight(ProjectionStart::gaussian, Side::value));
  CHECK(weight(ProjectionStart::random, Side::key) != weight(ProjectionStart::random, Side::value));
  const Matrix<double> drawn = weight(ProjectionStart::gaussian, Side::key);
  // 120 entries of variance 1/24: their mean square is within five of its standard deviations, √(2/120)/24.
  CHECK(std::abs(drawn.squaredNorm() / 120 - 1.0 / 24) < 5 * std::sqrt(2.0 / 120) / 24);
}

TEST_CASE("a longer n repeats positions, and a shorter one cuts them", "[conversion]") {
  const Encoder<float> original(softmax_config(), 3);
  const auto positions = [](const Encoder<float>& encoder) {
    std::vector<float> result;
    encoder.for_each_parameter([&](const std::string& name, Shape, std::span<const float> values) {
      if (name == "embeddings.position_embeddings.weight") result.assign(values.begin(), values.end());
    });
    return result;
  };
  const std::vector<float> table = positions(original);
  for (const Index length : {10, 24, 60}) {
    const auto linformer = to_linformer(original, {.sequence_length = length, .projected_length = 5});
    CHECK(linformer.config().sequence_length == length);
    const std::vector<float> longer = positions(linformer);
    REQUIRE(longer.size() == static_cast<std::size_t>(length) * 8);
    bool equal = true;
    for (std::size_t i = 0; i < longer.size(); ++i) equal = equal && longer[i] == table[i % table.size()];
    CHECK(equal);
  }
}

TEST_CASE("heads come along", "[conversion]") {
  Resources resources(1);
  const TokenBatch tokens = some_tokens({24, 24});
  const SequenceClassifier<double> classifier(softmax_config(), 3, Pooling::mean, 5);
  const auto converted_classifier = to_linformer(classifier, {.projected_length = 24});
  const Matrix<double> logits = classifier(tokens, resources.execution);
  CHECK((converted_classifier(tokens, resources.execution) - logits).norm() < 1e-12 * logits.norm());

  const MaskedLanguageModel<double> model(softmax_config(), 5);
  const auto converted_model = to_linformer(model, {.projected_length = 24});
  const Matrix<double> hidden = Matrix<double>::Random(3, 8);
  CHECK(converted_model.logits(hidden, resources.execution) == model.logits(hidden, resources.execution));
}

TEST_CASE("what cannot be converted is told", "[conversion]") {
  EncoderConfig config = softmax_config();
  const Encoder<float> original(config, 1);
  CHECK_THROWS_AS(static_cast<void>(to_linformer(original, {})), Error);                        // no k
  CHECK_THROWS_AS(static_cast<void>(to_linformer(original, {.projected_length = 25})), Error);  // k > n
  config.mechanism = Mechanism::linformer;
  config.projected_length = 5;
  const Encoder<float> linformer(config, 1);
  const Error error =
      linformer_test::error_of([&] { static_cast<void>(to_linformer(linformer, {.projected_length = 5})); });
  CHECK(error.code() == ErrorCode::unsupported);
  CHECK(error.tensor() == "encoder");
}

TEST_CASE("a model that holds a part of its positions is not converted", "[conversion]") {
  const Encoder<double> part(softmax_config(), 3, Part{0, 12});
  CHECK(linformer_test::error_of([&] { static_cast<void>(to_linformer(part, {.projected_length = 4})); }).code() ==
        ErrorCode::unsupported);
}

TEST_CASE("a layer that should give zeros and does not is infinitely far off", "[conversion]") {
  const Matrix<double> zeros = Matrix<double>::Zero(2, 3), ones = Matrix<double>::Ones(2, 3);
  CHECK(std::isinf(detail::layer_difference<double>(zeros, ones).relative_error));
  CHECK(detail::layer_difference<double>(zeros, zeros).relative_error == 0);
  CHECK(std::isnan(detail::layer_difference<double>(zeros, ones * std::nan("")).relative_error));
}
