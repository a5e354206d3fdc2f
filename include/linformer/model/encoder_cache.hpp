#pragma once

#include <linformer/attention/project_backward.hpp>
#include <linformer/core/workspace.hpp>
#include <linformer/nn/layer_norm.hpp>

#include <deque>
#include <vector>

namespace linformer::inline LINFORMER_ABI {

/// What forward of one layer keeps for backward, rows × D unless said. "Sum" is a sublayer's input plus its output.
template <Scalar T>
struct EncoderLayerCache {
  detail::PaddedMatrix<T> input, attention_input;  ///< the latter with pre_norm alone, else it is the input
  detail::PaddedMatrix<T> attention_sum, feed_forward_input;
  detail::PaddedMatrix<T> activation_input;  ///< rows × feed-forward width
  detail::PaddedMatrix<T> feed_forward_sum;  ///< not with pre_norm
  RowStatistics<T> attention_statistics, output_statistics;
  std::vector<ProjectedContext<T>> contexts;  ///< of whole sequences, where other processes hold tokens of them
};

/// What forward of an encoder keeps for backward.
template <Scalar T>
struct EncoderCache {
  detail::PaddedMatrix<T> embedding_sum;  ///< words + positions
  RowStatistics<T> embedding_statistics, final_statistics;
  detail::PaddedMatrix<T> final_input;  ///< with pre_norm
  std::deque<EncoderLayerCache<T>> layers;
  std::deque<detail::PaddedMatrix<T>> inputs;  ///< of each layer, where activations are recomputed

  /// A layer's input, rows × D: the output of the layer before.
  [[nodiscard]] ConstMatrixRef<T> layer_input(std::size_t layer) const {
    return inputs.empty() ? layers[layer].input.block() : inputs[layer].block();
  }
};

namespace detail {

/// What an encoder keeps in a workspace between calls.
template <Scalar T>
struct EncoderScratch {
  LayerProjections<T> projections;
  LayerProjectionGradients<T> projection_gradients;
};

}  // namespace detail

}  // namespace linformer::inline LINFORMER_ABI
