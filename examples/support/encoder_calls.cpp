#include "encoder_calls.hpp"

#include <linformer/pretrained/load_pretrained.hpp>

#include "model_folder.hpp"
#include "progress.hpp"

#include <cstdio>
#include <optional>

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
    const auto aside = load_part(linformer::SafetensorsFile::open(folder + "/model.safetensors"), encoder);
    for (const std::string& name : aside)
      std::fprintf(stderr, "%s is left aside: none of the encoder's.\n", name.c_str());
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

std::vector<linformer::ProjectionFit> fit_with_progress(const linformer::Encoder<float>& original,
                                                        linformer::Encoder<float>& converted,
                                                        const linformer::TokenBatch& texts,
                                                        const linformer::FitConfig& config,
                                                        const linformer::Execution& execution) {
  std::optional<Progress> progress;
  const auto tell = [&](const linformer::FitProgress& at) {
    const auto iterations = static_cast<double>(config.iterations);
    if (!progress) progress.emplace("fit", iterations * static_cast<double>(at.fits), "iterations");
    char note[64];
    std::snprintf(note, sizeof note, "E %td of %td, J %.5f", at.fit + 1, at.fits, at.objective);
    progress->update(iterations * static_cast<double>(at.fit) + static_cast<double>(at.iteration), note);
  };
  return linformer::fit_projections(original, converted, texts, config, execution, tell);
}

template linformer::Matrix<float> linformer::sentence_embeddings<float, linformer::Trainable>(
    const linformer::Encoder<float>&, const linformer::TokenBatch&, const linformer::Execution&,
    const linformer::WorldView&);
template linformer::Matrix<float> linformer::sentence_embeddings<float, linformer::Frozen>(
    const linformer::FrozenEncoder<float>&, const linformer::TokenBatch&, const linformer::Execution&,
    const linformer::WorldView&);
template std::vector<linformer::LayerDifference> linformer::layer_differences<float>(const linformer::Encoder<float>&,
                                                                                     const linformer::Encoder<float>&,
                                                                                     const linformer::TokenBatch&,
                                                                                     const linformer::Execution&);
template linformer::LossSum linformer::distillation_gradient<float>(
    const linformer::Encoder<float>&, const linformer::TeacherOutputs<float>&, const linformer::TokenBatch&,
    const linformer::DistillationConfig&, const linformer::EncoderOptions&, double, linformer::EncoderCache<float>&,
    linformer::Encoder<float>&, const linformer::Execution&);
