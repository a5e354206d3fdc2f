#pragma once

#include <linformer/attention/projection_set.hpp>
#include <linformer/model/config.hpp>

#include <initializer_list>
#include <string>

namespace linformer::inline LINFORMER_ABI {

/// Most values of tables that a model from a file computes, sinusoidal positions and fixed projections that are stored
/// together, and of E·K, k × D, which every call keeps. No tensor of a file says how large they are: where projections
/// are not learned, k is only claimed.
inline constexpr Index computed_values_limit = Index{1} << 28;

namespace detail {

/// f(parameter, shape) for parameters of an encoder that between them have every size which its configuration claims,
/// so that a model of it is no larger than the file in which all of these are found.
/// @param config resolved
/// @throws Error invalid_configuration for more than `computed_values_limit`; size_overflow; as f
template <class Visitor>
void for_each_claimed_size(const EncoderConfig& config, const Visitor& f) {
  const auto claim = [&](const std::string& parameter, std::initializer_list<Index> shape) {
    f(parameter, Shape(shape.begin(), shape.size()));
  };
  Index computed = 0;
  const auto compute = [&](const char* field, Index rows, Index columns) {
    const bool fits = checked_size(field, {rows, columns}) <= computed_values_limit - computed;
    require_config(fits, field, "tables of at most " + std::to_string(computed_values_limit) + " values",
                   rows * columns);
    computed += rows * columns;
  };
  const Index width = config.model_width;
  claim("embeddings.word_embeddings.weight", {config.vocabulary_size, width});
  if (config.positions == PositionKind::learned) {
    claim("embeddings.position_embeddings.weight", {config.sequence_length, width});
  } else if (config.positions == PositionKind::sinusoidal) {
    compute("sequence_length", config.sequence_length, width);
  }
  if (config.token_types > 0) claim("embeddings.token_type_embeddings.weight", {config.token_types, width});
  for (Index layer = 0; layer < config.layers; ++layer) {
    const std::string name = "encoder.layer." + std::to_string(layer);
    claim(name + ".attention.self.query.weight", {width, width});
    claim(name + ".intermediate.dense.weight", {config.feed_forward_width, width});
  }
  if (config.mechanism != Mechanism::linformer) return;
  const ProjectionSetConfig set = projection_set_config(config);
  for_each_distinct_projection(set, [&](Index layer, Index head, const std::string& name) {
    const Index n = set.sequence_length, k = projected_length(set, layer, head);
    require_config(k >= 1 && k <= n, "projected_length", "between 1 and sequence_length " + std::to_string(n), k);
    const Index kept = checked_size("projected_length", {k, width});
    require_config(kept <= computed_values_limit, "projected_length",
                   "at most " + std::to_string(computed_values_limit) + " values of k x model_width", kept);
    const ProjectionKind kind = set.projection.kind;
    if (kind == ProjectionKind::learned) claim(name + ".weight", {k, n});
    if (kind == ProjectionKind::convolution) claim(name + ".weight", {n / k});
    if (kind == ProjectionKind::depthwise_convolution) claim(name + ".weight", {set.head_width, n / k});
    if (set.projection.bias) claim(name + ".bias", {k});
    const bool fixed = kind == ProjectionKind::gaussian || kind == ProjectionKind::rademacher;
    if (fixed && set.projection.stored) compute("projected_length", k, n);
  });
}

}  // namespace detail

}  // namespace linformer::inline LINFORMER_ABI
