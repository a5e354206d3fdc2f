#include "model_loading.hpp"

#include <linformer/pretrained/load_pretrained.hpp>

#include "model_folder.hpp"

#include <cstdio>

namespace {

/// Whether a folder holds a model of this library, and not one of Hugging Face's.
bool is_own_model(const std::string& folder) {
  const nlohmann::json config = read_json(folder + "/config.json");
  return config.is_object() && config.contains("model_type") && config["model_type"] == "linformer";
}

}  // namespace

linformer::Encoder<float> load_encoder(const std::string& folder) {
  if (is_own_model(folder)) {
    linformer::Encoder<float> encoder(linformer::encoder_config_from_json(read_json(folder + "/config.json")), 0);
    load_part(linformer::SafetensorsFile::open(folder + "/model.safetensors"), encoder);
    return encoder;
  }
  auto pretrained = linformer::load_pretrained_encoder<float>(folder);
  for (const auto& [name, reason] : pretrained.report.ignored) {
    std::fprintf(stderr, "%s is left aside: %s.\n", name.c_str(), reason.c_str());
  }
  return std::move(pretrained.model);
}
