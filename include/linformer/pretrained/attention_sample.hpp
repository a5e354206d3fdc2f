#pragma once

#include <linformer/attention/attend.hpp>
#include <linformer/model/encoder_layer.hpp>

namespace linformer::inline LINFORMER_ABI {

/// What the heads of one layer of softmax attention make of some texts: rows of a ragged batch × h·d, head by head.
template <Scalar T>
struct AttentionSample {
  Matrix<T> query, key, value;
  Matrix<T> attended;  ///< P·V, before W_O
};

/// @param input what enters the layer, rows × D
template <Scalar T>
[[nodiscard]] AttentionSample<T> attention_sample(const EncoderLayer<T>& layer, const ConstMatrixRef<T>& input,
                                                  const BatchLayout& layout, const Execution& execution) {
  const AttentionWeights<T>& weights = layer.attention().weights();
  const Index heads = layer.attention().config().heads, width = layer.attention().config().head_width;
  const Matrix<T> x = layer.attention_input(input, execution);
  const auto of = [&](const Linear<T>& linear) {
    Matrix<T> result(x.rows(), linear.weight.rows());
    linear_forward<T>(linear, x, result, execution);
    return result;
  };
  AttentionSample<T> sample{of(weights.query), of(weights.key), of(weights.value), Matrix<T>(x.rows(), heads * width)};
  execution.run(layout.sequences() * heads, [&](Index task, const Compute& compute) {
    const Index b = task / heads, first = task % heads * width;
    const auto rows = [&](auto& all) { return all.block(layout.offset(b), first, layout.length(b), width); };
    detail::attend_rows<T>(rows(sample.query), rows(sample.key), rows(sample.value), rows(sample.attended), compute);
  });
  return sample;
}

/// The heads that read the same E and the same F, and the texts that these are to serve.
template <Scalar T>
struct TiedHeads {
  std::span<const AttentionSample<T>> layers;
  const BatchLayout& texts;
  Index first_head = 0, heads = 0;  ///< of each of the layers
  Index head_width = 0;             ///< d

  /// Pairs of a layer and a text.
  [[nodiscard]] Index size() const { return static_cast<Index>(layers.size()) * texts.sequences(); }
  [[nodiscard]] const AttentionSample<T>& layer(Index pair) const {
    return layers[static_cast<std::size_t>(pair / texts.sequences())];
  }
  [[nodiscard]] Positions positions(Index pair) const { return texts.positions(pair % texts.sequences()); }
  /// Of a matrix of the pair's layer: the text's rows and the heads' columns.
  [[nodiscard]] auto block(Index pair, const Matrix<T>& all) const {
    const Index b = pair % texts.sequences();
    return all.block(texts.offset(b), first_head * head_width, texts.length(b), heads * head_width);
  }
  /// Σ ‖P·V‖²
  [[nodiscard]] double squares() const {
    double sum = 0;
    for (Index pair = 0; pair < size(); ++pair) {
      sum += block(pair, layer(pair).attended).template cast<double>().squaredNorm();
    }
    return sum;
  }
};

namespace detail {

/// Sums what work(pair, sum, compute) adds to a k × n matrix of its own and returns, over all pairs of tied heads. They
/// are cut in a fixed number of parts, added in their order: any number of threads gives the same bits.
template <Scalar T, class Work>
double sum_over_pairs(Index pairs, Matrix<T>& sum, const Execution& execution, const Work& work) {
  constexpr Index most_parts = 8;  // each has a k × n sum of its own
  const Index parts = std::min(pairs, most_parts);
  std::vector<LearnedProjection<T>> sums(static_cast<std::size_t>(parts));
  std::vector<double> values(static_cast<std::size_t>(parts));
  execution.run(parts, [&](Index part, const Compute& compute) {
    const auto at = static_cast<std::size_t>(part);
    sums[at].weight.setZero(sum.rows(), sum.cols());
    for (Index pair = part * pairs / parts; pair < (part + 1) * pairs / parts; ++pair) {
      const Workspace::Scope scope(compute.workspace);
      values[at] += work(pair, sums[at], compute);
    }
  });
  double value = 0;
  sum.setZero();
  for (std::size_t at = 0; at < sums.size(); ++at) {
    sum += sums[at].weight;
    value += values[at];
  }
  return value;
}

}  // namespace detail

}  // namespace linformer::inline LINFORMER_ABI
