#pragma once

#include <linformer/io/parameters.hpp>
#include <linformer/train/adamw.hpp>

#include <charconv>
#include <map>
#include <string>

namespace linformer::inline LINFORMER_ABI {

namespace detail {

/// A model and its optimizer as one module: their values together are all that a run goes on from.
template <class Model, class Optimizer>
struct TrainingState {
  Model& model;
  Optimizer& optimizer;

  template <class Visitor>
  void for_each_parameter(Visitor&& visitor) const {
    model.for_each_parameter(visitor);
    optimizer.for_each_parameter(visitor);
  }
};

}  // namespace detail

/// Writes what a run needs to go on bit for bit to one safetensors file, atomically: weights, moments, steps taken.
/// Draws need nothing: each is a function of seed, step and place.
/// @param settings kept beside them as the entry "settings", for the caller to compare
/// @param more further entries of the file's metadata, such as the best value so far; not "settings" or "steps"
/// @throws as `save_parameters`
template <Scalar T, class Model>
void save_training(const std::string& path, const Model& model, const AdamW<T>& optimizer, const std::string& settings,
                   std::map<std::string, std::string> more = {}) {
  more["settings"] = settings;
  more["steps"] = std::to_string(optimizer.steps());
  save_parameters(path, detail::TrainingState<const Model, const AdamW<T>>{model, optimizer}, more);
}

/// Reads a training file back. @param settings must be those that it was written with
/// @throws Error invalid_configuration for other settings or no number of steps; as `load_parameters`. Model and
///   optimizer are then as they were.
template <Scalar T, class Model>
void load_training(const SafetensorsFile& file, Model& model, AdamW<T>& optimizer, const std::string& settings) {
  const auto entry = [&](const std::string& name) {
    const auto found = file.metadata().find(name);
    detail::require(found != file.metadata().end(), ErrorCode::invalid_configuration, file.name() + ": " + name,
                    "an entry of the metadata", "none");
    return found->second;
  };
  const std::string written = entry("settings"), text = entry("steps");
  detail::require(written == settings, ErrorCode::invalid_configuration, file.name() + ": settings",
                  "those of the run that goes on, " + settings, written);
  std::uint64_t steps = 0;
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), steps);
  detail::require(failure == std::errc() && end == text.data() + text.size(), ErrorCode::invalid_configuration,
                  file.name() + ": steps", "a number", text);
  detail::TrainingState<Model, AdamW<T>> state{model, optimizer};
  load_parameters(file, state);
  optimizer.set_steps(steps);
}

}  // namespace linformer::inline LINFORMER_ABI
