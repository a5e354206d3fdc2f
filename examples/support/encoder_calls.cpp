#include "encoder_calls.hpp"

#include <linformer/pretrained/load_pretrained.hpp>

#include "model_folder.hpp"

#include <cstdio>

namespace {

/// Whether a folder holds a model of this library, and not one of Hugging Face's.
bool is_own_model(const std::string& folder) {
  const nlohmann::json config = linformer::read_json(folder + "/config.json");
  return config.is_object() && config.contains("model_type") && config["model_type"] == "linformer";
}

}  // namespace

linformer::Encoder<float> load_encoder(const std::string& folder) {
  if (is_own_model(folder)) {
    linformer::Encoder<float> encoder(read_model_config(folder), 0);
    load_part(linformer::SafetensorsFile::open(folder + "/model.safetensors"), encoder);
    return encoder;
  }
  auto pretrained = linformer::load_pretrained_encoder<float>(folder);
  for (const auto& [name, reason] : pretrained.report.ignored) {
    std::fprintf(stderr, "%s is left aside: %s.\n", name.c_str(), reason.c_str());
  }
  return std::move(pretrained.model);
}

linformer::Matrix<float> hidden_states(const linformer::Encoder<float>& encoder, const linformer::TokenBatch& tokens,
                                       const linformer::Execution& execution) {
  return encoder(tokens, execution);
}

template linformer::Matrix<float> linformer::sentence_embeddings<float, linformer::Trainable>(
    const linformer::Encoder<float>&, const linformer::TokenBatch&, const linformer::Execution&);
template linformer::Matrix<float> linformer::sentence_embeddings<float, linformer::Frozen>(
    const linformer::FrozenEncoder<float>&, const linformer::TokenBatch&, const linformer::Execution&);
template std::vector<linformer::LayerDifference> linformer::layer_differences<float>(const linformer::Encoder<float>&,
                                                                                     const linformer::Encoder<float>&,
                                                                                     const linformer::TokenBatch&,
                                                                                     const linformer::Execution&);
template linformer::LossSum linformer::distillation_gradient<float>(
    const linformer::Encoder<float>&, const linformer::ConstMatrixRef<float>&, const linformer::TokenBatch&,
    const linformer::DistillationConfig&, const linformer::EncoderOptions&, double, linformer::EncoderCache<float>&,
    linformer::Encoder<float>&, const linformer::Execution&);
