#pragma once

#include <linformer/pretrained/layer_reader.hpp>

#include <algorithm>
#include <vector>

namespace linformer::inline LINFORMER_ABI {

namespace detail {

/// A head's E or F of linformer-pytorch.
template <Scalar T>
struct LinformerPytorchProjection {
  Matrix<T> weight;  ///< k × n
  Vector<T> bias;    ///< k, or empty

  [[nodiscard]] bool operator==(const LinformerPytorchProjection&) const = default;
};

/// @param learnable whether it is a linear map with a bias, and not a matrix that is stored n × k
template <Scalar T>
[[nodiscard]] LinformerPytorchProjection<T> read_linformer_pytorch_projection(LayerReader& reader,
                                                                              const std::string& name, bool learnable,
                                                                              Index projected, Index tokens) {
  if (!learnable) return {reader.template matrix<T>(name, tokens, projected).transpose(), {}};
  return {reader.template matrix<T>(name + ".weight", projected, tokens),
          reader.template vector<T>(name + ".bias", projected)};
}

}  // namespace detail

/// An `MHAttention` of tatp22's Python package `linformer-pytorch` (0.19.3), whose parameters
/// `safetensors.torch.save_model` wrote. Learnable E and F have a bias there, as r here. Those of method `no_params`
/// are no parameters there, and have to be written beside them as they are, n × k: `heads.0.E`, `heads.0.F`, …. Of the
/// four ways to share projections, layerwise is key-value sharing of each layer. The file does not say whether a model
/// had full or causal attention.
/// @param prefix of its parameters, as `seq.0.fn.`
/// @param masking of the model: causal cannot be had, and is refused
/// @throws SafetensorsFailure naming file and tensor; Error unsupported for projections by convolution, which mix the
///     features of a head, and for causal masking
template <Scalar T>
[[nodiscard]] LinformerAttention<T> load_linformer_pytorch_attention(const SafetensorsFile& file,
                                                                     const std::string& prefix,
                                                                     Masking masking = Masking::tokens) {
  detail::LayerReader reader(file, prefix);
  const std::string first = "heads.0.E.weight";
  if (const SafetensorsTensor* e = reader.find(first); e != nullptr && e->shape.size() == 3) {
    throw Error(ErrorCode::unsupported, reader.place(first),
                "a learnable projection, as the convolution of linformer-pytorch mixes the features of a head",
                detail::shape_text(e->shape));
  }
  const std::string fixed = "heads.0.E";  // of no_params
  const bool learnable = reader.has(first);
  if (!learnable && !reader.has(fixed)) {
    throw SafetensorsFailure(SafetensorsError::missing_tensor, file.name(), prefix + first,
                             "a learnable projection, or the matrix " + prefix + fixed + ", exported for no_params",
                             "neither");
  }
  const auto [rows_stored, columns_stored] = reader.matrix_shape(learnable ? first : fixed);
  const Index projected = learnable ? rows_stored : columns_stored, tokens = learnable ? columns_stored : rows_stored;
  detail::require_projected_length(reader, learnable ? first : fixed, projected, tokens);
  const auto [head_width, model_width] = reader.matrix_shape("to_q.0.weight");
  const Index heads = std::max(reader.matrix_shape("w_o.weight").second / head_width, Index{1});
  // All that the layer is made of is there before anything is made.
  reader.require_matrix("w_o.weight", model_width, heads * head_width);
  for (Index i = 0; i < heads; ++i) {
    for (const char* name : {"to_q.", "to_k.", "to_v."}) {
      reader.require_matrix(name + std::to_string(i) + ".weight", head_width, model_width);
    }
  }
  std::vector<detail::LinformerPytorchProjection<T>> e, f;
  for (Index i = 0; i < heads; ++i) {
    const std::string head = "heads." + std::to_string(i);
    e.push_back(detail::read_linformer_pytorch_projection<T>(reader, head + ".E", learnable, projected, tokens));
    f.push_back(detail::read_linformer_pytorch_projection<T>(reader, head + ".F", learnable, projected, tokens));
  }
  const auto all_equal = [](const auto& all) {
    return std::all_of(all.begin(), all.end(), [&](const auto& each) { return each == all.front(); });
  };
  Sharing sharing = Sharing::none;
  if (all_equal(e) && all_equal(f)) sharing = e.front() == f.front() ? Sharing::key_value : Sharing::headwise;
  LinformerAttention<T> attention({.sequence_length = tokens,
                                   .model_width = model_width,
                                   .heads = heads,
                                   .projected_length = projected,
                                   .sharing = sharing,
                                   .projection = {.bias = learnable},
                                   .head_width = head_width,
                                   .query_key_value_bias = false,
                                   .masking = masking},
                                  0);
  AttentionWeights<T>& weights = attention.block().weights();
  for (Index i = 0; i < heads; ++i) {
    const std::string end = "." + std::to_string(i) + ".weight";
    const auto rows = [i, d = head_width](Linear<T>& linear) { return linear.weight.middleRows(i * d, d); };
    rows(weights.query) = reader.template matrix<T>("to_q" + end, head_width, model_width);
    rows(weights.key) = reader.template matrix<T>("to_k" + end, head_width, model_width);
    rows(weights.value) = reader.template matrix<T>("to_v" + end, head_width, model_width);
    for (const Side side : {Side::key, Side::value}) {
      const auto& its = (side == Side::key ? e : f)[static_cast<std::size_t>(i)];
      detail::set_projection<T>(attention, i, side, its.weight);
      if (learnable) attention.projections().projection(0, i, side).bias() = its.bias;
    }
  }
  weights.output.weight = reader.template matrix<T>("w_o.weight", model_width, heads * head_width);
  weights.output.bias = reader.template vector<T>("w_o.bias", model_width);
  reader.finish();
  return attention;
}

}  // namespace linformer::inline LINFORMER_ABI
