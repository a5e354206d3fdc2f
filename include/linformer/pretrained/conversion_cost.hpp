#pragma once

#include <linformer/model/encoder.hpp>

#include <cmath>
#include <vector>

namespace linformer::inline LINFORMER_ABI {

/// How far the outputs of one layer, or the embeddings, of two encoders are apart.
struct LayerDifference {
  double cosine = 1;  ///< of the two vectors of a token, on average over tokens; 1 for two of zeros, 0 for one
  double relative_error =
      0;  ///< ‖A − B‖/‖A‖ over all tokens (Frobenius), A being the original's; infinite where A alone is 0
};

namespace detail {

template <Scalar T>
[[nodiscard]] LayerDifference layer_difference(const ConstMatrixRef<T>& original, const ConstMatrixRef<T>& other) {
  double cosines = 0, error = 0, size = 0;
  for (Index row = 0; row < original.rows(); ++row) {
    const auto a = original.row(row).template cast<double>(), b = other.row(row).template cast<double>();
    const double product = a.dot(b), norms = a.norm() * b.norm();
    cosines += a.norm() == 0 && b.norm() == 0 ? 1 : norms == 0 ? 0 : product / norms;
    error += (a - b).squaredNorm();
    size += a.squaredNorm();
  }
  const auto rows = static_cast<double>(std::max(original.rows(), Index{1}));
  return {cosines / rows, error > 0 ? std::sqrt(error / size) : error};
}

}  // namespace detail

/// What a conversion costs, layer by layer: the outputs of two encoders of the same widths for the same tokens. The
/// first entry is of the embeddings, the last of the last layer's output. @throws Error as `Encoder::forward`;
///   shape_mismatch for encoders of other widths or numbers of layers
template <Scalar T>
[[nodiscard]] std::vector<LayerDifference> layer_differences(const Encoder<T>& original, const Encoder<T>& other,
                                                             const TokenBatch& tokens, const Execution& execution) {
  detail::require_shape("encoder", other.config().layers, other.config().model_width, original.config().layers,
                        original.config().model_width);
  // What backward would compute anew from is what enters each layer.
  const auto run = [&](const Encoder<T>& encoder, EncoderCache<T>& cache) {
    Matrix<T> out(tokens.layout.rows(), encoder.config().model_width);
    encoder.forward(tokens, out, {.recompute = true}, &cache, execution);
    return out;
  };
  EncoderCache<T> original_cache, other_cache;
  const Matrix<T> original_out = run(original, original_cache), other_out = run(other, other_cache);
  std::vector<LayerDifference> result;
  for (std::size_t layer = 0; layer < original_cache.inputs.size(); ++layer) {
    result.push_back(
        detail::layer_difference<T>(original_cache.inputs[layer].block(), other_cache.inputs[layer].block()));
  }
  result.push_back(detail::layer_difference<T>(original_out, other_out));
  return result;
}

}  // namespace linformer::inline LINFORMER_ABI
