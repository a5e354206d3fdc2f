#include "encoder_calls.hpp"

#include <linformer/pretrained/load_pretrained.hpp>

#include "model_folder.hpp"
#include "progress.hpp"

#include <algorithm>
#include <cstdio>

namespace {

/// Whether a folder holds a model of this library, and not one of Hugging Face's.
bool is_own_model(const std::string& folder) {
  const nlohmann::json config = linformer::read_json(folder + "/config.json");
  return config.is_object() && config.contains("model_type") && config["model_type"] == "linformer";
}

/// What of a checkpoint of Hugging Face's was read, after telling what was not.
template <class Model>
Model told(linformer::Pretrained<Model> pretrained) {
  for (const auto& [name, reason] : pretrained.report.ignored) {
    std::fprintf(stderr, "%s is left aside: %s.\n", name.c_str(), reason.c_str());
  }
  return std::move(pretrained.model);
}

/// Whether a checkpoint of Hugging Face's has a masked-language-model head that the library reads.
bool has_masked_language_head(const std::string& folder) {
  using namespace linformer;
  const HuggingFaceConfig config = read_hugging_face_config(folder + "/config.json");
  const Checkpoint checkpoint = Checkpoint::open(folder);
  const detail::CheckpointKeys keys(checkpoint, config.architecture, detail::PretrainedHead::masked_language_model);
  const auto names = keys.of("lm_head.bias");
  const bool there = std::any_of(names.begin(), names.end(), [&](const auto& name) { return checkpoint.find(name); });
  return there && (config.architecture == PretrainedArchitecture::bert || config.encoder.activation == Gelu::exact);
}

}  // namespace

linformer::Encoder<float> load_encoder(const std::string& folder) {
  if (!is_own_model(folder)) return told(linformer::load_pretrained_encoder<float>(folder));
  linformer::Encoder<float> encoder(read_model_config(folder), 0);
  tell_aside(load_part(linformer::SafetensorsFile::open(folder + "/model.safetensors"), encoder));
  return encoder;
}

std::optional<linformer::MaskedLanguageModel<float>> load_masked_language_model(const std::string& folder) {
  if (!is_own_model(folder)) {
    if (!has_masked_language_head(folder)) return std::nullopt;
    return told(linformer::load_pretrained_masked_language_model<float>(folder));
  }
  const auto file = linformer::SafetensorsFile::open(folder + "/model.safetensors");
  if (file.find("lm_head.bias") == nullptr) return std::nullopt;
  linformer::MaskedLanguageModel<float> model(read_model_config(folder), 0);
  tell_aside(load_part(file, model));
  return model;
}

std::optional<linformer::MaskedLanguageModel<float>> load_masked_language_model_if_read(const std::string& folder) {
  try {
    return load_masked_language_model(folder);
  } catch (const linformer::Error& error) {
    std::fprintf(stderr, "No masked-language-model head is read: %s\n", error.what());
    return std::nullopt;
  }
}

void save_encoder(const std::string& path, const linformer::Encoder<float>& encoder,
                  std::optional<linformer::MaskedLanguageModel<float>> head) {
  if (!head) return save_parameters(path, encoder);
  head->encoder() = encoder;
  save_parameters(path, *head);
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
template linformer::LossSum linformer::distillation_gradient<float>(
    const linformer::MaskedLanguageModel<float>&, const linformer::MaskedLanguageModel<float>&,
    const linformer::TeacherOutputs<float>&, const linformer::BatchLayout&, const linformer::MaskedTokens&,
    const linformer::DistillationConfig&, const linformer::EncoderOptions&, double, linformer::EncoderCache<float>&,
    linformer::MaskedLanguageModel<float>&, const linformer::Execution&);
