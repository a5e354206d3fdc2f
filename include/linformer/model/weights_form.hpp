#pragma once

#include <linformer/attention/frozen_weights.hpp>
#include <linformer/nn/frozen_linear.hpp>

namespace linformer::inline LINFORMER_ABI {

/// What the weights of a model are: those that train, …
struct Trainable {
  static constexpr bool trainable = true;
  template <Scalar T>
  using Attention = AttentionWeights<T>;
  template <Scalar T>
  using Dense = Linear<T>;
  template <Scalar T>
  using TiedDecoder = Vector<T>;  ///< its bias; its weight is the table of words
};

/// … or copies for inference alone, which lie as products read them and never change.
struct Frozen {
  static constexpr bool trainable = false;
  template <Scalar T>
  using Attention = FrozenWeights<T>;
  template <Scalar T>
  using Dense = FrozenLinear<T>;
  template <Scalar T>
  using TiedDecoder = FrozenLinear<T>;
};

}  // namespace linformer::inline LINFORMER_ABI
