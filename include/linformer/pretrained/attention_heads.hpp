#pragma once

#include <linformer/model/encoder.hpp>

#include <vector>

namespace linformer::inline LINFORMER_ABI {

/// Softmax attention of one layer over one sequence of m tokens, W_O left out.
template <Scalar T>
struct LayerAttention {
  Index layer = 0;
  Positions tokens;                ///< of the rows in their sequence; valid as long as the batch is
  Matrix<T> input;                 ///< m × D: what queries, keys and values are made of
  Probabilities<T> probabilities;  ///< P = softmax(Q·Kᵀ/√d) of each head, m × m (a column for each position)
  Matrix<T> output;                ///< m × h·d: P·V of each head, side by side
};

/// What the heads of an encoder of softmax attention give before W_O mixes them, and what they would give with
/// projections. Each layer is taken by itself: its input is what the encoder computes without any projection.
template <Scalar T>
class AttentionHeads {
 public:
  /// @param encoder must outlive this. @param sequence_length n of the projections; 0: the encoder's
  /// @throws Error unsupported for a Linformer
  explicit AttentionHeads(const Encoder<T>& encoder, Index sequence_length = 0) : encoder_(encoder) {
    detail::require(encoder.config().mechanism != Mechanism::linformer, ErrorCode::unsupported, "encoder",
                    "one of softmax attention", "a Linformer");
    AttentionConfig config = attention_config(encoder.config());
    for (const EncoderLayer<T>& layer : encoder.layers()) softmax_.push_back(without_output(config, layer));
    config.mechanism = Mechanism::linformer;
    if (sequence_length != 0) config.sequence_length = sequence_length;
    for (const EncoderLayer<T>& layer : encoder.layers()) projected_.push_back(without_output(config, layer));
  }

  /// visit(const LayerAttention<T>&) for each layer, and in it for each sequence that has tokens.
  /// @throws Error as `Encoder::forward`
  template <class Visitor>
  void for_each(const TokenBatch& tokens, const Visitor& visit, const Execution& execution) const {
    EncoderCache<T> cache;
    Matrix<T> out(tokens.layout.rows(), encoder_.config().model_width);
    encoder_.forward(tokens, out, {.recompute = true}, &cache, execution);  // which keeps what enters each layer
    for (std::size_t layer = 0; layer < softmax_.size(); ++layer) {
      const Matrix<T> input = encoder_.layers()[layer].attention_input(cache.inputs[layer].block(), execution);
      for (Index b = 0; b < tokens.layout.sequences(); ++b) {
        const Index rows = tokens.layout.length(b);
        if (rows == 0) continue;
        LayerAttention<T> attention{.layer = static_cast<Index>(layer),
                                    .tokens = tokens.layout.positions(b),
                                    .input = input.middleRows(tokens.layout.offset(b), rows),
                                    .probabilities = {},
                                    .output = Matrix<T>(rows, encoder_.config().model_width)};
        ForwardOptions<T> options = options_of(execution);
        options.probabilities = &attention.probabilities;
        softmax_[layer].forward({}, attention.input, attention.tokens, attention.input, attention.tokens,
                                attention.output, options);
        visit(attention);
      }
    }
  }

  /// P̄·F·V of each head, side by side, where `attention.output` has P·V: m × h·d.
  /// @param projections of as many layers and heads, and of the n that was given
  /// @throws Error shape_mismatch, sequence_too_long
  [[nodiscard]] Matrix<T> projected(const LayerAttention<T>& attention, const ProjectionSet<T>& projections,
                                    const Execution& execution) const {
    Matrix<T> result(attention.output.rows(), attention.output.cols());
    projected_[static_cast<std::size_t>(attention.layer)].forward(projections.layer(attention.layer), attention.input,
                                                                  attention.tokens, attention.input, attention.tokens,
                                                                  result, options_of(execution));
    return result;
  }

 private:
  /// The attention of a layer with W_O = I.
  [[nodiscard]] static AttentionBlock<T> without_output(const AttentionConfig& config, const EncoderLayer<T>& layer) {
    AttentionBlock<T> block(config, /*seed=*/0);
    block.weights() = layer.attention().weights();
    block.weights().output.weight.setIdentity();
    block.weights().output.bias.setZero();
    return block;
  }

  [[nodiscard]] static ForwardOptions<T> options_of(const Execution& execution) {
    return {.workspace = &execution.workspace, .pool = &execution.pool, .isa = execution.isa};
  }

  const Encoder<T>& encoder_;
  std::vector<AttentionBlock<T>> softmax_, projected_;
};

}  // namespace linformer::inline LINFORMER_ABI
