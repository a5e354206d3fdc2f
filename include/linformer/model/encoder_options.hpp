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

/// What a call of an encoder may ask for. All fields may be left out.
struct EncoderOptions {
  std::optional<DropoutAddress> dropout{};  ///< a training call: its seed, step and first sample
  bool recompute = false;  ///< in training: keep the input of each layer alone and compute the rest anew in backward
  /// In inference: the rows of the output that are wanted, of the tokens' layout; null for all. The last layer is
  /// computed for these alone.
  const RowSelection* read = nullptr;
};

}  // namespace linformer::inline LINFORMER_ABI
