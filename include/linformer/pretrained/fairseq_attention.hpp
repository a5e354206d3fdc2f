#pragma once

#include <linformer/pretrained/layer_reader.hpp>

namespace linformer::inline LINFORMER_ABI {

/// A `MultiheadLinearAttention` of fairseq's example `linformer`, the authors' own, whose parameters were written as
/// safetensors. Its keys are k_proj(E·X): their bias is added after the projection, as c here. fairseq's attention does
/// not look at padding: a padded token counts there, here it does not exist.
/// @param prefix of its parameters, as `encoder.sentence_encoder.layers.0.self_attn.`
/// @param heads h, which the file does not say
/// @throws SafetensorsFailure naming file and tensor; Error invalid_configuration
template <Scalar T>
[[nodiscard]] LinformerAttention<T> load_fairseq_attention(const SafetensorsFile& file, const std::string& prefix,
                                                           Index heads) {
  detail::LayerReader reader(file, prefix);
  const auto [width, model_width] = reader.matrix_shape("q_proj.weight");
  const auto [projected, tokens] = reader.matrix_shape("compress_k.weight");
  detail::require_projected_length(reader, "compress_k.weight", projected, tokens);
  // All four maps have a bias, or none.
  const bool biased = reader.has("q_proj.bias") || reader.has("k_proj.bias");
  Matrix<T> e = reader.template matrix<T>("compress_k.weight", projected, tokens), f;
  if (reader.has("compress_v.weight")) f = reader.template matrix<T>("compress_v.weight", projected, tokens);
  const bool shared = f.size() == 0 || f == e;
  LinformerAttention<T> attention({.sequence_length = tokens,
                                   .model_width = model_width,
                                   .heads = heads,
                                   .projected_length = projected,
                                   .sharing = shared ? Sharing::key_value : Sharing::headwise,
                                   .head_width = detail::head_width_of(width, heads),
                                   .query_key_value_bias = biased,
                                   .output_bias = biased,
                                   .projected_bias = biased},
                                  0);
  AttentionWeights<T>& weights = attention.block().weights();
  weights.query.weight = reader.template matrix<T>("q_proj.weight", width, model_width);
  weights.key.weight = reader.template matrix<T>("k_proj.weight", width, model_width);
  weights.value.weight = reader.template matrix<T>("v_proj.weight", width, model_width);
  weights.output.weight = reader.template matrix<T>("out_proj.weight", model_width, width);
  if (biased) {
    weights.query.bias = reader.template vector<T>("q_proj.bias", width);
    weights.projected_key_bias = reader.template vector<T>("k_proj.bias", width);
    weights.projected_value_bias = reader.template vector<T>("v_proj.bias", width);
    weights.output.bias = reader.template vector<T>("out_proj.bias", model_width);
  }
  detail::set_projection<T>(attention, 0, Side::key, std::move(e));
  if (!shared) detail::set_projection<T>(attention, 0, Side::value, std::move(f));
  reader.finish();
  return attention;
}

}  // namespace linformer::inline LINFORMER_ABI
