#pragma once

#include <linformer/model/config_json.hpp>

#include <CLI/CLI.hpp>

#include <map>
#include <string>
#include <vector>

/// An encoder as a program is told it.
struct EncoderChoice {
  std::string preset = "tiny", mechanism = "linformer", sharing = "key_value", projection = "learned";
  linformer::Index layers = 0, width = 0, heads = 0, length = 256, projected_length = 64;
  double dropout = 0.1;
  bool pre_norm = false;

  void add_to(CLI::App& app) {
    app.add_option("--preset", preset, "size")->check(CLI::IsMember({"tiny", "small", "base"}));
    app.add_option("--layers", layers, "layers; 0: the preset's")->check(CLI::NonNegativeNumber);
    app.add_option("--width", width, "model width; 0: the preset's")->check(CLI::NonNegativeNumber);
    app.add_option("--heads", heads, "heads; 0: the preset's")->check(CLI::NonNegativeNumber);
    app.add_option("--mechanism", mechanism, "attention")->check(CLI::IsMember({"linformer", "softmax"}));
    add_projections_to(app);
    app.add_option("--projected-length", projected_length, "projected length k")->check(CLI::PositiveNumber);
    app.add_option("--dropout", dropout, "probability")->check(CLI::Range(0.0, 0.99));
    app.add_flag("--pre-norm", pre_norm, "layer norm before each sublayer instead of after");
  }

  /// The kind and the sharing of E and F alone.
  void add_projections_to(CLI::App& app) {
    app.add_option("--projection", projection, "kind of E and F")
        ->check(CLI::IsMember(names(linformer::detail::projection_kind_names)));
    app.add_option("--sharing", sharing, "sharing of E and F")
        ->check(CLI::IsMember(names(linformer::detail::sharing_names)));
  }

  [[nodiscard]] linformer::Sharing sharing_value() const {
    return value_in(linformer::detail::sharing_names, "sharing", sharing);
  }
  [[nodiscard]] linformer::ProjectionKind projection_value() const {
    return value_in(linformer::detail::projection_kind_names, "projection", projection);
  }

  /// f(name, value) of each, as a table of configurations names them.
  template <class Visitor>
  void for_each_field(const Visitor& f) {
    f("preset", preset);
    f("layers", layers);
    f("width", width);
    f("heads", heads);
    f("mechanism", mechanism);
    f("projection", projection);
    f("sharing", sharing);
    f("length", length);
    f("projected_length", projected_length);
    f("dropout", dropout);
    f("pre_norm", pre_norm);
  }

  /// @throws linformer::Error invalid_configuration
  [[nodiscard]] linformer::EncoderConfig config(linformer::Index vocabulary) const {
    const std::map<std::string, linformer::EncoderConfig> sizes{{"tiny", linformer::presets::tiny()},
                                                                {"small", linformer::presets::small()},
                                                                {"base", linformer::presets::base()}};
    const auto size = sizes.find(preset);
    linformer::detail::require(size != sizes.end(), linformer::ErrorCode::invalid_configuration, "preset",
                               "tiny, small or base", preset);
    linformer::EncoderConfig config = size->second;
    if (layers != 0) config.layers = layers;
    if (width != 0) config.model_width = width;
    if (heads != 0) config.heads = heads;
    config.vocabulary_size = vocabulary;
    config.sequence_length = length;
    config.projected_length = projected_length;
    config.mechanism = value_in(linformer::detail::mechanism_names, "mechanism", mechanism);
    if (config.mechanism == linformer::Mechanism::softmax) config.mechanism = linformer::Mechanism::softmax_tiled;
    config.sharing = sharing_value();
    config.projection.kind = projection_value();
    config.pre_norm = pre_norm;
    config.dropout = config.attention_dropout = dropout;
    return linformer::resolved(config);
  }

 private:
  template <class Enum, std::size_t N>
  static std::vector<std::string> names(const linformer::detail::EnumNames<Enum, N>& list) {
    std::vector<std::string> result;
    for (const auto& [name, value] : list) result.emplace_back(name);
    return result;
  }

  template <class Enum, std::size_t N>
  static Enum value_in(const linformer::detail::EnumNames<Enum, N>& list, const char* what, const std::string& name) {
    std::string expected;
    for (const auto& [each, value] : list) {
      if (each == name) return value;
      expected.append(expected.empty() ? "one of " : ", ").append(each);
    }
    throw linformer::Error(linformer::ErrorCode::invalid_configuration, what, expected, name);
  }
};
