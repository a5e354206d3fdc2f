#pragma once

#include <linformer/pretrained/layer_reader.hpp>

namespace linformer::inline LINFORMER_ABI {

/// A `LinformerSelfAttention` of lucidrains' Python package `linformer` (0.2.3), whose parameters
/// `safetensors.torch.save_model` wrote. One head for keys and values becomes equal heads; `share_kv`, which shares
/// W_K = W_V as well as E = F, becomes equal weights: they part where training goes on.
/// @param prefix of its parameters, as `net.layers.0.0.fn.`
/// @param heads h, which the file does not say
/// @throws SafetensorsFailure naming file and tensor; Error invalid_configuration
template <Scalar T>
[[nodiscard]] LinformerAttention<T> load_lucidrains_attention(const SafetensorsFile& file, const std::string& prefix,
                                                              Index heads) {
  detail::LayerReader reader(file, prefix);
  const auto [width, model_width] = reader.matrix_shape("to_q.weight");
  const auto [tokens, projected] = reader.matrix_shape("proj_k");  // stored n × k
  detail::require_projected_length(reader, "proj_k", projected, tokens);
  const Index head_width = detail::head_width_of(width, heads);
  const bool one_head = reader.matrix_shape("to_k.weight").first == head_width;
  const bool shared = !reader.has("to_v.weight") && !reader.has("proj_v");
  LinformerAttention<T> attention({.sequence_length = tokens,
                                   .model_width = model_width,
                                   .heads = heads,
                                   .projected_length = projected,
                                   .sharing = shared ? Sharing::key_value : Sharing::headwise,
                                   .head_width = head_width,
                                   .query_key_value_bias = false},
                                  0);
  AttentionWeights<T>& weights = attention.block().weights();
  const auto of_all_heads = [&, columns = model_width](const char* name) -> Matrix<T> {
    return reader.template matrix<T>(name, one_head ? head_width : heads * head_width, columns)
        .replicate(one_head ? heads : 1, 1);
  };
  weights.query.weight = reader.template matrix<T>("to_q.weight", width, model_width);
  weights.key.weight = of_all_heads("to_k.weight");
  weights.value.weight = shared ? weights.key.weight : of_all_heads("to_v.weight");
  weights.output.weight = reader.template matrix<T>("to_out.weight", model_width, width);
  weights.output.bias = reader.template vector<T>("to_out.bias", model_width);
  detail::set_projection<T>(attention, 0, Side::key,
                            reader.template matrix<T>("proj_k", tokens, projected).transpose());
  if (!shared) {
    detail::set_projection<T>(attention, 0, Side::value,
                              reader.template matrix<T>("proj_v", tokens, projected).transpose());
  }
  reader.finish();
  return attention;
}

}  // namespace linformer::inline LINFORMER_ABI
