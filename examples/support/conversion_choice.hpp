#pragma once

#include <linformer/pretrained/conversion.hpp>

#include "encoder_choice.hpp"
#include "model_folder.hpp"

/// A conversion as a program is told it.
struct ConversionChoice {
  EncoderChoice encoder;  ///< of which the projections alone are read
  std::string start = "mean_pooling";
  linformer::Index length = 0;
  std::vector<linformer::Index> projected_lengths{128};
  std::uint64_t seed = 1;
  bool log_count = false;

  static constexpr linformer::detail::EnumNames<linformer::ProjectionStart, 3> start_names{
      {{"mean_pooling", linformer::ProjectionStart::mean_pooling},
       {"gaussian", linformer::ProjectionStart::gaussian},
       {"random", linformer::ProjectionStart::random}}};

  void add_to(CLI::App& app) {
    app.add_option("--length", length, "sequence length n; 0: the model's")->check(CLI::NonNegativeNumber);
    app.add_option("--projected-length", projected_lengths,
                   "projected length k: a number, or several by layer, by head, or by layer and head")
        ->check(CLI::PositiveNumber);
    add_projections_to(app);
  }

  /// All but n and k.
  void add_projections_to(CLI::App& app) {
    encoder.add_projections_to(app);
    app.add_option("--start", start, "what learned E and F start as")
        ->check(CLI::IsMember({"mean_pooling", "gaussian", "random"}));
    app.add_flag("--log-count", log_count, "of mean pooling: add log(tokens in the window) to its score");
    app.add_option("--seed", seed, "of what is drawn");
  }

  /// @throws linformer::Error invalid_configuration
  [[nodiscard]] linformer::ConversionConfig config() const {
    linformer::ConversionConfig result{.sequence_length = length,
                                       .projected_length = projected_lengths,
                                       .sharing = encoder.sharing_value(),
                                       .projection = {.kind = encoder.projection_value(), .log_count = log_count},
                                       .seed = seed};
    for (const auto& [name, value] : start_names) {
      if (name == start) result.start = value;
    }
    return result;
  }

  [[nodiscard]] nlohmann::ordered_json to_json() const {
    return {{"sequence_length", length},
            {"projected_length", projected_lengths},
            {"sharing", encoder.sharing},
            {"projection", encoder.projection},
            {"start", start},
            {"log_count", log_count},
            {"seed", seed}};
  }
};

/// The field "advice" of what spectrum wrote. @throws linformer::Error file_access, malformed_input naming the file, or
///   invalid_configuration or unsupported naming the field
inline ConversionChoice read_advice(const std::string& file) {
  const nlohmann::json json = read_json(file);
  linformer::detail::require(json.is_object() && json.contains("advice"), linformer::ErrorCode::malformed_input, file,
                             "an object with the field advice", "none");
  linformer::detail::FieldReader reader(json["advice"]);
  ConversionChoice choice;
  reader.take("sequence_length", choice.length);
  reader.take("projected_length", choice.projected_lengths);
  reader.take("sharing", choice.encoder.sharing);
  reader.take("projection", choice.encoder.projection);
  linformer::ProjectionStart start{};
  reader.take("start", ConversionChoice::start_names, start);
  choice.start = linformer::detail::name_in(ConversionChoice::start_names, start);
  reader.take("log_count", choice.log_count);
  reader.take("seed", choice.seed);
  reader.finish();
  return choice;
}
