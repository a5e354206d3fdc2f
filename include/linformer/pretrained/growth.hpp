#pragma once

#include <linformer/pretrained/conversion.hpp>

namespace linformer::inline LINFORMER_ABI {

/// What E and F of a longer n are made of.
enum class Growth {
  stretched,  ///< each column is shared out among those that take its place, in part where bounds cut it, so that rows
              ///< keep their sums: mean pooling becomes mean pooling of the longer n
  tiled,      ///< columns are repeated from the first, as positions are: texts of up to n tokens give what they gave
};

/// A Linformer of a longer n.
struct GrowthConfig {
  Index sequence_length = 0;  ///< n', at least n
  Growth growth = Growth::stretched;
};

namespace detail {

/// E (k × n) for n' columns.
template <Scalar T>
[[nodiscard]] Matrix<T> grown(const Matrix<T>& e, Index columns, Growth growth) {
  Matrix<T> result = Matrix<T>::Zero(e.rows(), columns);
  const Index n = e.cols();
  if (growth == Growth::tiled) {
    for (Index t = 0; t < columns; ++t) result.col(t) = e.col(t % n);
    return result;
  }
  // In units of 1/n' of an old column and 1/n of a new one, both sequences have n·n' of them, and bounds are whole.
  for (Index t = 0; t < columns; ++t) {
    for (Index old = t * n / columns; old * columns < (t + 1) * n; ++old) {
      const Index shared = std::min((old + 1) * columns, (t + 1) * n) - std::max(old * columns, t * n);
      result.col(t) += static_cast<T>(shared) / static_cast<T>(columns) * e.col(old);
    }
  }
  return result;
}

/// E and F of a set, and their additive vectors, for a longer n.
/// @param to of the same sharing and k
template <Scalar T>
void grow_projections(const ProjectionSet<T>& from, ProjectionSet<T>& to, Growth growth) {
  const ProjectionSetConfig& config = from.config();
  for (Index layer = 0; layer < config.layers; ++layer) {
    for (Index head = 0; head < config.heads; ++head) {
      for (const Side side : {Side::key, Side::value}) {
        const Projection<T>& source = from.projection(layer, head, side);
        Projection<T>& target = to.projection(layer, head, side);
        target.bias() = source.bias();
        if (const auto* learned = std::get_if<LearnedProjection<T>>(&source.kind())) {
          std::get<LearnedProjection<T>>(target.kind()).weight = grown(learned->weight, target.columns(), growth);
        }
      }
    }
  }
}

}  // namespace detail

/// The configuration of a Linformer that is grown.
/// @throws Error unsupported for softmax attention, and for E and F that are drawn or convolve, whose numbers belong to
///   their n; invalid_configuration for a shorter n
[[nodiscard]] inline EncoderConfig grown_config(EncoderConfig encoder, const GrowthConfig& growth) {
  detail::require(encoder.mechanism == Mechanism::linformer, ErrorCode::unsupported, "encoder", "a Linformer",
                  "one of softmax attention");
  const ProjectionKind kind = encoder.projection.kind;
  const bool is_pooling = kind == ProjectionKind::mean_pooling || kind == ProjectionKind::growing_pooling ||
                          kind == ProjectionKind::max_pooling;
  detail::require(kind == ProjectionKind::learned || is_pooling, ErrorCode::unsupported, "projection",
                  "learned E and F, or pooling", "fixed ones or a convolution");
  detail::require_config(growth.sequence_length >= encoder.sequence_length, "sequence_length",
                         "at least the encoder's " + std::to_string(encoder.sequence_length), growth.sequence_length);
  encoder.sequence_length = growth.sequence_length;
  return encoder;
}

// A Linformer for longer texts: E and F grow as configured, a table of positions is repeated from its start, all other
// weights are copied. Pooling has no weights: windows of positions become longer, those of a text are what they were. All throw Error as `grown_config`, and
// unsupported for a model that holds a part of its positions.

template <Scalar T>
[[nodiscard]] Encoder<T> grow(const Encoder<T>& encoder, const GrowthConfig& growth) {
  Encoder<T> result(grown_config(encoder.config(), growth), 0);
  detail::copy_weights<T>(encoder, result);
  detail::grow_projections(encoder.projections(), result.projections(), growth.growth);
  return result;
}

template <Scalar T>
[[nodiscard]] MaskedLanguageModel<T> grow(const MaskedLanguageModel<T>& model, const GrowthConfig& growth) {
  MaskedLanguageModel<T> result(grown_config(model.encoder().config(), growth), 0);
  detail::copy_weights<T>(model, result);
  detail::grow_projections(model.encoder().projections(), result.encoder().projections(), growth.growth);
  return result;
}

template <Scalar T>
[[nodiscard]] SequenceClassifier<T> grow(const SequenceClassifier<T>& classifier, const GrowthConfig& growth) {
  SequenceClassifier<T> result(grown_config(classifier.encoder().config(), growth), classifier.classes(),
                               classifier.pooling(), 0);
  detail::copy_weights<T>(classifier, result);
  detail::grow_projections(classifier.encoder().projections(), result.encoder().projections(), growth.growth);
  return result;
}

}  // namespace linformer::inline LINFORMER_ABI
