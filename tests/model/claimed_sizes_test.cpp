#include <linformer/model/claimed_sizes.hpp>
#include <linformer/model/sequence_classifier.hpp>

#include "support/attention_support.hpp"

#include <map>
#include <string>

namespace {

using Shapes = std::map<std::string, std::vector<Index>>;

EncoderConfig claiming_config() {
  return resolved({.vocabulary_size = 30,
                   .sequence_length = 16,
                   .layers = 2,
                   .model_width = 8,
                   .heads = 2,
                   .projected_length = 4,
                   .projection = {.bias = true},
                   .token_types = 2});
}

Shapes claimed(const EncoderConfig& config) {
  Shapes shapes;
  detail::for_each_claimed_size(config, [&](const std::string& name, Shape shape) {
    REQUIRE(shapes.emplace(name, std::vector<Index>(shape.begin(), shape.end())).second);
  });
  return shapes;
}

Error claim_error(const EncoderConfig& config) {
  try {
    detail::for_each_claimed_size(config, [](const std::string&, Shape) {});
  } catch (const Error& error) {
    return error;
  }
  throw std::logic_error("nothing was thrown");
}

}  // namespace

TEST_CASE("sizes that are claimed are those of the parameters, in every sharing mode and kind", "[claimed_sizes]") {
  for (const Sharing sharing : {Sharing::none, Sharing::headwise, Sharing::key_value, Sharing::layerwise}) {
    for (const ProjectionKind kind : {ProjectionKind::learned, ProjectionKind::convolution,
                                      ProjectionKind::depthwise_convolution, ProjectionKind::gaussian}) {
      EncoderConfig config = claiming_config();
      config.sharing = sharing;
      config.projection.kind = kind;
      if (sharing == Sharing::none) config.projected_length = {2, 4, 8, 16};
      Shapes parameters;
      Encoder<float>(config, 1).for_each_parameter([&](const std::string& name, Shape shape, auto) {
        parameters.emplace(name, std::vector<Index>(shape.begin(), shape.end()));
      });
      const Shapes claims = claimed(config);
      for (const auto& [name, shape] : claims) CHECK(parameters.at(name) == shape);
      // All of E and F is claimed, as nothing else says how large they are.
      const auto of_projections = [](const Shapes& shapes) {
        return std::count_if(shapes.begin(), shapes.end(), [](const auto& it) { return it.first.starts_with("proj"); });
      };
      CHECK(of_projections(claims) == of_projections(parameters));
    }
  }
}

TEST_CASE("each size of a configuration is in a shape that is claimed", "[claimed_sizes]") {
  const Shapes before = claimed(claiming_config());
  const auto changes = [&](auto EncoderConfig::*field, auto value) {
    EncoderConfig config = claiming_config();
    config.*field = value;
    return claimed(config) != before;
  };
  CHECK(changes(&EncoderConfig::vocabulary_size, 31));
  CHECK(changes(&EncoderConfig::sequence_length, 17));
  CHECK(changes(&EncoderConfig::layers, 3));
  CHECK(changes(&EncoderConfig::model_width, 10));
  CHECK(changes(&EncoderConfig::feed_forward_width, 33));
  CHECK(changes(&EncoderConfig::token_types, 3));
  CHECK(changes(&EncoderConfig::projected_length, ProjectedLength(5)));
  CHECK(changes(&EncoderConfig::sharing, Sharing::headwise));
}

TEST_CASE("tables that no tensor tells of have a limit", "[claimed_sizes]") {
  EncoderConfig config = claiming_config();
  config.positions = PositionKind::sinusoidal;
  config.projection = {.kind = ProjectionKind::mean_pooling};
  config.sequence_length = computed_values_limit / 8;
  CHECK(claimed(config).size() == 6);
  config.sequence_length += 1;
  CHECK(claim_error(config).tensor() == "sequence_length");
  config.positions = PositionKind::none;  // nothing is as long as the sequence
  CHECK(claimed(config).size() == 6);
  config.projection = {.kind = ProjectionKind::gaussian};  // generated as it is used
  CHECK(claimed(config).size() == 6);
  config.projection.stored = true;
  config.sequence_length = computed_values_limit / 4 / 2;  // k = 4, two layers
  CHECK(claimed(config).size() == 6);
  config.sequence_length += 1;
  CHECK(claim_error(config).tensor() == "projected_length");
  config.projected_length = 0;
  CHECK(claim_error(config).code() == ErrorCode::invalid_configuration);
}

TEST_CASE("what calls keep of a projected context has a limit, where no tensor tells k", "[claimed_sizes]") {
  EncoderConfig config = claiming_config();  // D = 8
  config.positions = PositionKind::none;
  const Index most = computed_values_limit / 8;
  for (const ProjectionKind kind : {ProjectionKind::mean_pooling, ProjectionKind::growing_pooling,
                                    ProjectionKind::max_pooling, ProjectionKind::gaussian, ProjectionKind::rademacher}) {
    config.projection = {.kind = kind};
    for (const Sharing sharing : {Sharing::none, Sharing::headwise, Sharing::key_value, Sharing::layerwise}) {
      config.sharing = sharing;
      config.sequence_length = Index{1} << 62;
      config.projected_length = most;
      CHECK_NOTHROW(claimed(config));
      config.projected_length = most + 1;
      CHECK(claim_error(config).code() == ErrorCode::invalid_configuration);
      CHECK(claim_error(config).tensor() == "projected_length");
      config.projected_length = Index{1} << 62;  // times 8 is no Index
      CHECK(claim_error(config).code() == ErrorCode::size_overflow);
    }
    config.sharing = Sharing::none;  // one of them, by layer, and by layer and head
    for (const ProjectedLength& lengths : {ProjectedLength{4, most + 1}, ProjectedLength{4, 4, 4, most + 1}}) {
      config.projected_length = lengths;
      CHECK(claim_error(config).tensor() == "projected_length");
    }
  }
}
