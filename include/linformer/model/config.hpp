#pragma once

#include <linformer/attention/config.hpp>
#include <linformer/kernels/gelu.hpp>

namespace linformer::inline LINFORMER_ABI {

/// What tells the encoder where a token stands.
enum class PositionKind {
  learned,     ///< a table of n vectors
  sinusoidal,  ///< Vaswani et al. 2017, Section 3.5: nothing to learn
  none,
};

/// A RoBERTa-style encoder (Liu et al. 2019, arXiv 1907.11692), the paper's baseline, with Linformer or softmax
/// attention.
struct EncoderConfig {
  Index vocabulary_size = 0;     ///< V
  Index sequence_length = 0;     ///< n
  Index layers = 0;              ///< L
  Index model_width = 0;         ///< D
  Index heads = 0;               ///< h
  Index feed_forward_width = 0;  ///< 0 means 4·D
  Mechanism mechanism = Mechanism::linformer;
  ProjectedLength projected_length{};  ///< k, of Mechanism::linformer
  Sharing sharing = Sharing::key_value;
  ProjectionConfig projection{};
  PositionKind positions = PositionKind::learned;
  Index token_types = 0;  ///< kinds of tokens, each with a vector that is added to the words'; 0 for none
  Gelu activation = Gelu::exact;
  bool pre_norm = false;  ///< layer norm before each sublayer and at the end, instead of after each
  double layer_norm_epsilon = 1e-5;
  double dropout = 0.1;            ///< of embeddings and of each sublayer's output, in training
  double attention_dropout = 0.1;  ///< of P̄, in training
};

/// Sizes to start from; set vocabulary, n, k and mechanism.
namespace presets {

[[nodiscard]] inline EncoderConfig tiny() { return {.layers = 2, .model_width = 64, .heads = 2}; }
[[nodiscard]] inline EncoderConfig small() { return {.layers = 4, .model_width = 256, .heads = 4}; }
/// RoBERTa-base.
[[nodiscard]] inline EncoderConfig base() { return {.layers = 12, .model_width = 768, .heads = 12}; }

}  // namespace presets

/// Fills in defaults and checks what the layers do not. @throws Error invalid_configuration or size_overflow
[[nodiscard]] inline EncoderConfig resolved(EncoderConfig config) {
  detail::require_config(config.vocabulary_size >= 1, "vocabulary_size", "at least 1", config.vocabulary_size);
  detail::require_config(config.sequence_length >= 1, "sequence_length", "at least 1", config.sequence_length);
  detail::require_config(config.layers >= 1, "layers", "at least 1", config.layers);
  detail::require_config(config.model_width >= 1, "model_width", "at least 1", config.model_width);
  detail::require_config(config.feed_forward_width >= 0, "feed_forward_width", "at least 0", config.feed_forward_width);
  detail::require_config(config.token_types >= 0, "token_types", "at least 0", config.token_types);
  detail::checked_size("token_type_embeddings", {config.token_types, config.model_width});
  detail::checked_size("word_embeddings", {config.vocabulary_size, config.model_width});
  detail::checked_size("position_embeddings", {config.sequence_length, config.model_width});
  if (config.feed_forward_width == 0) {
    config.feed_forward_width = detail::checked_size("feed_forward_width", {4, config.model_width});
  }
  detail::checked_size("intermediate.dense.weight", {config.feed_forward_width, config.model_width});
  detail::require(config.dropout >= 0 && config.dropout < 1, ErrorCode::invalid_configuration, "dropout",
                  "a probability in [0, 1)", std::to_string(config.dropout));
  detail::require(config.layer_norm_epsilon > 0, ErrorCode::invalid_configuration, "layer_norm_epsilon",
                  "a positive number", std::to_string(config.layer_norm_epsilon));
  return config;
}

/// The attention of each layer. @param config resolved
[[nodiscard]] inline AttentionConfig attention_config(const EncoderConfig& config) {
  return {.sequence_length = config.sequence_length,
          .model_width = config.model_width,
          .heads = config.heads,
          .projected_length = config.projected_length,
          .sharing = config.sharing,
          .projection = config.projection,
          .mechanism = config.mechanism,
          .dropout = config.attention_dropout};
}

/// The projections of all layers of a Linformer. @param config resolved
[[nodiscard]] inline ProjectionSetConfig projection_set_config(const EncoderConfig& config) {
  return {.layers = config.layers,
          .heads = config.heads,
          .head_width = resolved(attention_config(config)).head_width,
          .sequence_length = config.sequence_length,
          .projected_length = config.projected_length,
          .sharing = config.sharing,
          .projection = config.projection};
}

}  // namespace linformer::inline LINFORMER_ABI
