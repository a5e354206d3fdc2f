#include <linformer/pretrained/growth.hpp>

#include "support/catch.hpp"
#include "support/files.hpp"
#include "support/resources.hpp"

using namespace linformer;

namespace {

EncoderConfig growing_config(ProjectionKind kind = ProjectionKind::learned) {
  return {.vocabulary_size = 30,
          .sequence_length = 24,
          .layers = 2,
          .model_width = 8,
          .heads = 2,
          .projected_length = 6,
          .sharing = Sharing::headwise,
          .projection = {.kind = kind, .bias = true}};
}

std::vector<double> values_of(const Encoder<double>& encoder) {
  std::vector<double> result;
  encoder.for_each_parameter([&](const std::string&, Shape, std::span<const double> values) {
    result.insert(result.end(), values.begin(), values.end());
  });
  return result;
}

const Matrix<double>& grown_weight(const Encoder<double>& encoder, Side side) {
  return std::get<LearnedProjection<double>>(encoder.projections().projection(1, 0, side).kind()).weight;
}

TokenBatch tokens_of_length(Index length) {
  std::vector<std::vector<std::int32_t>> sequences(1);
  for (Index i = 0; i < length; ++i) sequences[0].push_back(static_cast<std::int32_t>(i * 7 % 30));
  return TokenBatch::from_sequences(sequences);
}

}  // namespace

TEST_CASE("a Linformer grown to its own length is the same", "[growth]") {
  const Encoder<double> encoder(growing_config(), 3);
  for (const Growth growth : {Growth::stretched, Growth::tiled}) {
    CHECK(values_of(grow(encoder, {.sequence_length = 24, .growth = growth})) == values_of(encoder));
  }
}

TEST_CASE("mean pooling stretched is mean pooling of the longer length", "[growth]") {
  EncoderConfig softmax = growing_config();
  softmax.mechanism = Mechanism::softmax;
  const Encoder<double> original(softmax, 3);
  for (const Index length : {36, 48}) {
    ConversionConfig pooling{.projected_length = 6, .start = ProjectionStart::mean_pooling};
    const Encoder<double> grown = grow(to_linformer(original, pooling), {.sequence_length = length});
    pooling.sequence_length = length;
    const Encoder<double> pooled = to_linformer(original, pooling);
    CHECK((grown_weight(grown, Side::key) - grown_weight(pooled, Side::key)).cwiseAbs().maxCoeff() < 1e-15);
    CHECK(grown.config().sequence_length == length);
  }
}

TEST_CASE("stretched rows keep their sums, and their course", "[growth]") {
  const Encoder<double> encoder(growing_config(), 3);
  for (const Index length : {25, 31, 48, 100}) {
    const Encoder<double> longer = grow(encoder, {.sequence_length = length});
    for (const Side side : {Side::key, Side::value}) {
      const Matrix<double>&before = grown_weight(encoder, side), &after = grown_weight(longer, side);
      REQUIRE(after.cols() == length);
      CHECK((after.rowwise().sum() - before.rowwise().sum()).norm() < 1e-13);
      // What lies up to a bound that both lengths have is the same: in the middle, of even lengths.
      if (length % 2 == 0) {
        const Vector<double> half = after.leftCols(length / 2).rowwise().sum();
        CHECK((half - before.leftCols(12).rowwise().sum()).norm() < 1e-13);
      }
    }
  }
}

TEST_CASE("a tiled Linformer gives for short texts what it gave", "[growth]") {
  Resources resources(1);
  const Encoder<double> encoder(growing_config(), 3);
  const Encoder<double> longer = grow(encoder, {.sequence_length = 60, .growth = Growth::tiled});
  for (const Index tokens : {24, 7}) {
    const Matrix<double> expected = encoder(tokens_of_length(tokens), resources.execution);
    CHECK((longer(tokens_of_length(tokens), resources.execution) - expected).norm() < 1e-12 * expected.norm());
  }
  CHECK(grown_weight(longer, Side::value).middleCols(24, 24) == grown_weight(encoder, Side::value));
  CHECK(longer(tokens_of_length(60), resources.execution).allFinite());
}

TEST_CASE("pooling grows without weights, and heads come along", "[growth]") {
  Resources resources(1);
  for (const ProjectionKind kind : {ProjectionKind::mean_pooling, ProjectionKind::growing_pooling}) {
    EncoderConfig pooling = growing_config(kind);
    pooling.projection.bias = false;
    const Encoder<double> encoder(pooling, 3), longer = grow(encoder, {.sequence_length = 50});
    CHECK(longer.config().sequence_length == 50);
    if (kind == ProjectionKind::growing_pooling) {  // whose windows are the text's
      CHECK(longer(tokens_of_length(20), resources.execution) == encoder(tokens_of_length(20), resources.execution));
    }
  }
  const SequenceClassifier<double> classifier(growing_config(), 3, Pooling::mean, 5);
  const MaskedLanguageModel<double> model(growing_config(), 5);
  const GrowthConfig growth{.sequence_length = 48, .growth = Growth::tiled};
  const Matrix<double> logits = classifier(tokens_of_length(20), resources.execution);
  CHECK((grow(classifier, growth)(tokens_of_length(20), resources.execution) - logits).norm() < 1e-12 * logits.norm());
  const Matrix<double> hidden = Matrix<double>::Constant(2, 8, 0.3);
  CHECK(grow(model, growth).logits(hidden, resources.execution) == model.logits(hidden, resources.execution));
}

TEST_CASE("what cannot grow is told", "[growth]") {
  const auto error = [](EncoderConfig config, Index length) {
    const Encoder<double> encoder(config, 1);
    return linformer_test::error_of([&] { static_cast<void>(grow(encoder, {.sequence_length = length})); }).code();
  };
  EncoderConfig softmax = growing_config();
  softmax.mechanism = Mechanism::softmax;
  CHECK(error(softmax, 48) == ErrorCode::unsupported);
  CHECK(error(growing_config(ProjectionKind::gaussian), 48) == ErrorCode::unsupported);
  CHECK(error(growing_config(ProjectionKind::convolution), 48) == ErrorCode::unsupported);
  CHECK(error(growing_config(), 23) == ErrorCode::invalid_configuration);
}

TEST_CASE("a model that holds a part of its positions does not grow", "[growth]") {
  const Encoder<double> part(
      {.vocabulary_size = 9, .sequence_length = 8, .layers = 1, .model_width = 4, .heads = 2, .projected_length = 2}, 3,
      Part{2, 5});
  CHECK(linformer_test::error_of([&] { static_cast<void>(grow(part, {.sequence_length = 16})); }).code() ==
        ErrorCode::unsupported);
}
