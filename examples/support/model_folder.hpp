#pragma once

#include <linformer/core/file.hpp>
#include <linformer/core/fingerprint.hpp>
#include <linformer/io.hpp>
#include <linformer/model/config_json.hpp>
#include <linformer/model/load_part.hpp>
#include <linformer/model/model_file.hpp>
#include <linformer/model/sequence_classifier.hpp>
#include <linformer/text/tokenizer.hpp>

#include <cstdio>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

// Folders that hold a model.

/// The configuration of a folder's model, all of whose sizes the tensors of its file have.
/// @param classes of a classifier, 0 for another model @throws linformer::Error as its two readers
inline linformer::EncoderConfig read_model_config(const std::string& folder, linformer::Index classes = 0) {
  linformer::EncoderConfig config = linformer::read_encoder_config(folder + "/config.json");
  linformer::require_claimed_sizes(linformer::SafetensorsFile::open(folder + "/model.safetensors"), config, classes);
  return config;
}

/// Says on stderr which tensors of a file `load_part` left aside, self-tests apart.
inline void tell_aside(const std::vector<std::string>& names) {
  for (const std::string& name : names) {
    if (!name.starts_with("self_test.")) std::fprintf(stderr, "%s is left aside.\n", name.c_str());
  }
}

/// Tokens of each sequence.
inline std::vector<linformer::Index> lengths_of(const std::vector<std::vector<linformer::TokenId>>& sequences) {
  std::vector<linformer::Index> lengths;
  for (const auto& sequence : sequences) lengths.push_back(static_cast<linformer::Index>(sequence.size()));
  return lengths;
}

/// Tokens of some sequences together.
inline linformer::Index tokens_of(const std::vector<std::vector<linformer::TokenId>>& sequences,
                                  std::span<const linformer::Index> samples) {
  linformer::Index tokens = 0;
  for (const linformer::Index sample : samples) {
    tokens += static_cast<linformer::Index>(sequences[static_cast<std::size_t>(sample)].size());
  }
  return tokens;
}

/// What a run was trained on: one that goes on must find the same.
inline std::string fingerprint_of(const std::vector<std::vector<linformer::TokenId>>& sequences,
                                  const std::vector<std::int32_t>& labels) {
  linformer::Fingerprint fingerprint;
  for (const auto& sequence : sequences) {
    fingerprint.take(sequence.size());
    for (const linformer::TokenId token : sequence) fingerprint.take(static_cast<std::uint64_t>(token));
  }
  for (const std::int32_t label : labels) fingerprint.take(static_cast<std::uint64_t>(label));
  return std::to_string(sequences.size()) + " sequences, " + std::to_string(fingerprint.value());
}

/// Of the values of all parameters of a module.
template <class Module>
std::string fingerprint_of(const Module& module) {
  linformer::Fingerprint fingerprint;
  fingerprint.take_parameters(module);
  return std::to_string(fingerprint.value());
}

/// What a classifier's folder says beside the encoder's configuration.
struct ClassifierSettings {
  std::vector<std::string> labels;
  linformer::Pooling pooling = linformer::Pooling::first_token;
  bool pairs = false;        ///< whether it was trained on pairs of texts
  bool multi_label = false;  ///< whether a text may have several labels, or none

  static ClassifierSettings read(const std::string& folder) {
    const std::string file = folder + "/classifier.json";
    const nlohmann::json json = linformer::read_json(file);
    return linformer::detail::within(file, [&] {
      linformer::detail::FieldReader reader(json);
      ClassifierSettings settings;
      reader.take("labels", settings.labels);
      reader.take("pooling", pooling_names, settings.pooling);
      reader.take("pairs", settings.pairs);
      if (reader.has("multi_label")) reader.take("multi_label", settings.multi_label);
      reader.finish();
      return settings;
    });
  }
  [[nodiscard]] nlohmann::ordered_json to_json() const {
    return {{"labels", labels},
            {"pooling", linformer::detail::name_in(pooling_names, pooling)},
            {"pairs", pairs},
            {"multi_label", multi_label}};
  }

  static constexpr linformer::detail::EnumNames<linformer::Pooling, 2> pooling_names{
      {{"first_token", linformer::Pooling::first_token}, {"mean", linformer::Pooling::mean}}};
};
