#pragma once

#include <linformer/model/encoder_layer.hpp>

#include <deque>

namespace linformer::inline LINFORMER_ABI {

/// What forward of an encoder keeps for backward.
template <Scalar T>
struct EncoderCache {
  detail::PaddedMatrix<T> embedding_sum;  ///< words + positions
  RowStatistics<T> embedding_statistics, final_statistics;
  detail::PaddedMatrix<T> final_input;  ///< with pre_norm
  std::deque<EncoderLayerCache<T>> layers;
  std::deque<detail::PaddedMatrix<T>> inputs;  ///< of each layer, where activations are recomputed
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
