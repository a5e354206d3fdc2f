#pragma once

#include <linformer/model/masked_language_model.hpp>
#include <linformer/model/sequence_classifier.hpp>

#include <map>

namespace linformer::inline LINFORMER_ABI {

/// What learned E and F of a converted encoder start as.
enum class ProjectionStart {
  growing_windows,  ///< row i is the mean of the tokens from b(i) = i + ⌊(n − k)·(i/k)⁸⌋ to before b(i + 1): single
                    ///< tokens first, since all texts have a beginning and some heads look at one neighbour, then
                    ///< windows that grow; with k = n the identity
  mean_pooling,  ///< row i is the mean of the tokens ⌊i·n/k⌋ … ⌊(i+1)·n/k⌋ − 1; with k = n a text of n tokens loses
                 ///< nothing, but a shorter one counts as padded with zeros, which ProjectionKind::mean_pooling does
                 ///< not
  convolution,  ///< a convolution of stride n/k whose windows overlap: row i is a triangle about the middle of its
                ///< window, of twice its width, and its sum is 1; with k = n the identity
  gaussian,  ///< a Johnson–Lindenstrauss draw (Theorem 2), entries N(0, 1/n): K̄ as large as K; E and F are one draw
  random,    ///< as an encoder's that is trained from nothing: E and F apart
};

/// The Linformer that a softmax encoder becomes.
struct ConversionConfig {
  Index sequence_length = 0;           ///< n; 0: the encoder's
  ProjectedLength projected_length{};  ///< k
  Sharing sharing = Sharing::key_value;
  ProjectionConfig projection{};
  ProjectionStart start = ProjectionStart::growing_windows;  ///< of learned projections, ignored elsewhere
  std::uint64_t seed = 1;                                    ///< of what is drawn
};

/// The configuration of the encoder that one of softmax attention becomes.
/// @throws Error unsupported for one that is a Linformer already; as `resolved`
[[nodiscard]] inline EncoderConfig converted_config(EncoderConfig encoder, const ConversionConfig& conversion) {
  detail::require(encoder.mechanism != Mechanism::linformer, ErrorCode::unsupported, "encoder",
                  "one of softmax attention", "a Linformer");
  encoder.mechanism = Mechanism::linformer;
  if (conversion.sequence_length != 0) encoder.sequence_length = conversion.sequence_length;
  encoder.projected_length = conversion.projected_length;
  encoder.sharing = conversion.sharing;
  encoder.projection = conversion.projection;
  return resolved(encoder);
}

namespace detail {

/// Writes the convolution that E starts as. @param weight k × n
template <Scalar T>
void write_triangles(Matrix<T>& weight) {
  const double width = static_cast<double>(weight.cols()) / static_cast<double>(weight.rows());
  for (Index row = 0; row < weight.rows(); ++row) {
    const double middle = (static_cast<double>(row) + 0.5) * width;
    for (Index token = 0; token < weight.cols(); ++token) {
      weight(row, token) = static_cast<T>(std::max(width - std::abs(static_cast<double>(token) + 0.5 - middle), 0.0));
    }
    weight.row(row) /= weight.row(row).sum();
  }
}

/// Writes the means of windows that grow. @param weight k × n
template <Scalar T>
void write_growing_windows(Matrix<T>& weight) {
  const Index rows = weight.rows(), tokens = weight.cols();
  const auto begin = [&](Index row) {
    const double part = static_cast<double>(row) / static_cast<double>(rows);
    const double square = part * part, fourth = square * square;
    return row + static_cast<Index>(static_cast<double>(tokens - rows) * fourth * fourth);
  };
  weight.setZero();
  for (Index row = 0; row < rows; ++row) {
    const Index width = begin(row + 1) - begin(row);
    weight.row(row).segment(begin(row), width).setConstant(T{1} / static_cast<T>(width));
  }
}

/// Sets learned projections to their start; those of other kinds stay as they are.
template <Scalar T>
void start_projections(ProjectionSet<T>& projections, ProjectionStart start, std::uint64_t seed) {
  if (start == ProjectionStart::random) return;
  const ProjectionSetConfig& config = projections.config();
  for (Index layer = 0; layer < config.layers; ++layer) {
    for (Index head = 0; head < config.heads; ++head) {
      const RandomStream draw =
          RandomStream(seed).derive(static_cast<std::uint64_t>(layer), static_cast<std::uint64_t>(head));
      for (const Side side : {Side::key, Side::value}) {
        auto* const learned = std::get_if<LearnedProjection<T>>(&projections.projection(layer, head, side).kind());
        if (learned == nullptr) return;
        Matrix<T>& weight = learned->weight;
        if (start == ProjectionStart::gaussian) {
          Matrix<T> columns(weight.cols(), weight.rows());
          FixedProjection<T>(ProjectionKind::gaussian, weight.rows(), weight.cols(), FixedScale::preserving, draw)
              .generate(0, columns);
          weight = columns.transpose();
          continue;
        }
        if (start == ProjectionStart::growing_windows) {
          write_growing_windows(weight);
          continue;
        }
        if (start == ProjectionStart::convolution) {
          write_triangles(weight);
          continue;
        }
        const Windows windows(weight.rows(), weight.cols());
        weight.setZero();
        for (Index token = 0; token < weight.cols(); ++token) weight(windows.row_of(token), token) = T{1};
        for (Index row = 0; row < weight.rows(); ++row) weight.row(row) /= weight.row(row).sum();
      }
    }
  }
}

/// Copies every weight but those of projections. A table of positions is repeated from its start as often as it takes.
/// @throws Error unsupported for a model that holds a part of its positions
template <Scalar T, class Model>
void copy_weights(const Model& from, Model& to) {
  require_whole(from);
  using Values = std::span<const T>;
  std::map<std::string, Values, std::less<>> sources;
  from.for_each_parameter([&](const std::string& name, Shape, Values values) { sources[name] = values; });
  to.for_each_parameter([&](const std::string& name, Shape, auto values) {
    if (name.starts_with("projections")) return;
    const Values source = sources.at(name);
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = source[i % source.size()];
  });
}

}  // namespace detail

// A model of softmax attention as a Linformer: weights are copied, E and F start as configured. A longer n repeats the
// table of positions from its start. All throw Error as `converted_config` and `Encoder`, and unsupported for a model
// that holds a part of its positions.

template <Scalar T>
[[nodiscard]] Encoder<T> to_linformer(const Encoder<T>& original, const ConversionConfig& conversion) {
  Encoder<T> result(converted_config(original.config(), conversion), conversion.seed);
  detail::copy_weights<T>(original, result);
  detail::start_projections(result.projections(), conversion.start, conversion.seed);
  return result;
}

template <Scalar T>
[[nodiscard]] MaskedLanguageModel<T> to_linformer(const MaskedLanguageModel<T>& original,
                                                  const ConversionConfig& conversion) {
  MaskedLanguageModel<T> result(converted_config(original.encoder().config(), conversion), conversion.seed);
  detail::copy_weights<T>(original, result);
  detail::start_projections(result.encoder().projections(), conversion.start, conversion.seed);
  return result;
}

template <Scalar T>
[[nodiscard]] SequenceClassifier<T> to_linformer(const SequenceClassifier<T>& original,
                                                 const ConversionConfig& conversion) {
  SequenceClassifier<T> result(converted_config(original.encoder().config(), conversion), original.classes(),
                               original.pooling(), conversion.seed);
  detail::copy_weights<T>(original, result);
  detail::start_projections(result.encoder().projections(), conversion.start, conversion.seed);
  return result;
}

}  // namespace linformer::inline LINFORMER_ABI
