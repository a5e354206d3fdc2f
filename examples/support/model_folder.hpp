#pragma once

#include <linformer/core/file.hpp>
#include <linformer/io.hpp>
#include <linformer/model/config_json.hpp>
#include <linformer/model/sequence_classifier.hpp>

#include <atomic>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

// What the training programs share: folders that hold a model, and how a run is stopped.

/// @throws linformer::Error malformed_input naming the file
inline nlohmann::json read_json(const std::string& path) {
  const auto json = nlohmann::json::parse(linformer::read_file(path), nullptr, /*allow_exceptions=*/false);
  linformer::detail::require(!json.is_discarded(), linformer::ErrorCode::malformed_input, path, "JSON", "other text");
  return json;
}

/// Lines of a JSON-lines log up to a step: what a killed run wrote beyond its checkpoint is written again.
inline void keep_log_until(const std::string& path, std::uint64_t steps) {
  std::ifstream in(path);
  std::string kept;
  for (std::string line; std::getline(in, line);) {
    const auto entry = nlohmann::json::parse(line, nullptr, /*allow_exceptions=*/false);
    if (entry.is_object() && entry.value("step", std::uint64_t{0}) <= steps) kept += line + "\n";
  }
  linformer::write_file(path, kept);
}

/// Reads the parameters of a module from a file that may hold others besides, such as an encoder's from a language
/// model's. All are checked before one is read.
template <class Module>
void load_part(const linformer::SafetensorsFile& file, Module& module) {
  module.for_each_parameter(
      [&](const std::string& name, linformer::Shape shape, auto) { static_cast<void>(file.require(name, shape)); });
  module.for_each_parameter(
      [&](const std::string& name, linformer::Shape shape, auto values) { file.read(name, shape, values); });
}

/// What a classifier's folder says beside the encoder's configuration.
struct ClassifierSettings {
  std::vector<std::string> labels;
  linformer::Pooling pooling = linformer::Pooling::first_token;

  static ClassifierSettings read(const std::string& folder) {
    linformer::detail::FieldReader reader(read_json(folder + "/classifier.json"));
    ClassifierSettings settings;
    std::string pooling;
    reader.take("labels", settings.labels);
    reader.take("pooling", pooling);
    reader.finish();
    settings.pooling = pooling == "mean" ? linformer::Pooling::mean : linformer::Pooling::first_token;
    return settings;
  }
  [[nodiscard]] nlohmann::ordered_json to_json() const {
    return {{"labels", labels}, {"pooling", pooling == linformer::Pooling::mean ? "mean" : "first_token"}};
  }
};

inline std::atomic<bool> interrupted{false};

/// Ctrl-C and a terminating signal end a run after its step.
inline void stop_on_signals() {
  std::signal(SIGINT, [](int) { interrupted = true; });
  std::signal(SIGTERM, [](int) { interrupted = true; });
}
