#pragma once

#include <linformer/core/uniform_below.hpp>
#include <linformer/model/masked_language_model.hpp>
#include <linformer/model/sequence_classifier.hpp>

#include <algorithm>
#include <cmath>
#include <limits>

namespace linformer::inline LINFORMER_ABI {

/// A small input of a model and what came out: who computes the same from the same weights has both right. It asks a
/// sample: of the word embeddings those of its tokens (all where a decoder is tied to them), of E, F and the positions
/// the first `self_test_tokens`.
template <Scalar T>
struct SelfTest {
  std::vector<std::int32_t> ids;  ///< one sequence
  Matrix<T> logits;               ///< of a masked language model, at its first tokens; of a classifier, of the sequence
};

inline constexpr Index self_test_tokens = 64;  ///< at most
inline constexpr Index self_test_rows = 4;     ///< of a language model's logits, at most

/// How far the output may be from the saved one, relative to the largest of its values, whatever the instruction set
/// and with either side in `float`. A model takes some 20 steps a layer, which sum at most as many terms as the wider
/// of D and the feed-forward width; their roundings fall to either side and add up as the root of their number, and
/// four times that bears values that cancel: 2e-4 for RoBERTa-base. @param config resolved
[[nodiscard]] inline double self_test_tolerance(const EncoderConfig& config) {
  const Index terms = std::max(config.model_width, config.feed_forward_width);
  return 4 * 0x1p-24 * std::sqrt(20.0 * static_cast<double>(config.layers) * static_cast<double>(terms));
}

/// The input: tokens drawn uniformly, each by its position alone.
[[nodiscard]] inline std::vector<std::int32_t> self_test_ids(const EncoderConfig& config) {
  const RandomStream draws = RandomStream(0).derive("self test");
  std::vector<std::int32_t> ids;
  for (Index t = 0; t < std::min(self_test_tokens, config.sequence_length); ++t) {
    const auto words = draws.words(static_cast<std::uint64_t>(t));
    ids.push_back(static_cast<std::int32_t>(
        uniform_below(words[0], words[1], static_cast<std::uint64_t>(config.vocabulary_size))));
  }
  return ids;
}

/// What a model makes of one sequence. @throws Error as `Encoder::forward`
template <Scalar T>
[[nodiscard]] Matrix<T> self_test_logits(const MaskedLanguageModel<T>& model, const std::vector<std::int32_t>& ids,
                                         const Execution& execution) {
  const auto length = static_cast<Index>(ids.size());
  const Matrix<T> hidden = model.encoder()({BatchLayout::single(length), ids}, execution);
  return model.logits(hidden.topRows(std::min(length, self_test_rows)), execution);
}
template <Scalar T>
[[nodiscard]] Matrix<T> self_test_logits(const SequenceClassifier<T>& model, const std::vector<std::int32_t>& ids,
                                         const Execution& execution) {
  return model.forward({BatchLayout::single(static_cast<Index>(ids.size())), ids}, {}, nullptr, execution);
}

/// The largest difference between what a model makes of the input and the output, relative to the largest value of the
/// output; infinite where either is not finite. @throws Error shape_mismatch; as `Encoder::forward`
template <Scalar T, class Model>
[[nodiscard]] double self_test_difference(const Model& model, const SelfTest<T>& test, const Execution& execution) {
  const Matrix<T> logits = self_test_logits(model, test.ids, execution);
  detail::require_shape("self_test.logits", test.logits.rows(), test.logits.cols(), logits.rows(), logits.cols());
  if (!logits.allFinite() || !test.logits.allFinite()) return std::numeric_limits<double>::infinity();
  const auto largest = static_cast<double>(test.logits.cwiseAbs().maxCoeff());
  const auto difference = static_cast<double>((logits - test.logits).cwiseAbs().maxCoeff());
  return difference == 0 ? 0 : difference / largest;
}

}  // namespace linformer::inline LINFORMER_ABI
