#pragma once

#include <linformer/pretrained/conversion.hpp>
#include <linformer/pretrained/fit_projections.hpp>

#include "encoder_choice.hpp"
#include "model_folder.hpp"

/// The value of a name that is one of them.
template <class Enum, std::size_t N>
[[nodiscard]] Enum value_of(const linformer::detail::EnumNames<Enum, N>& names, const std::string& name) {
  return std::find_if(names.begin(), names.end(), [&](const auto& each) { return each.first == name; })->second;
}

/// What advice says beside the conversion.
struct Advice {
  std::string criterion;  ///< that k was chosen by: "output", what E and F keep, or "probabilities", the spectrum of P
  bool same_model = false;  ///< whether it was computed for this model: its weights, not only its shape
};

/// A conversion as a program is told it.
struct ConversionChoice {
  EncoderChoice encoder;  ///< of which the projections alone are read
  std::string start = "growing_windows";
  linformer::Index length = 0, fit_texts = 64;
  std::vector<linformer::Index> projected_lengths{128};
  linformer::FitConfig fit;
  std::uint64_t seed = 1;
  bool log_count = false;

  static constexpr linformer::detail::EnumNames<linformer::ProjectionStart, 6> start_names{
      {{"growing_windows", linformer::ProjectionStart::growing_windows},
       {"mean_pooling", linformer::ProjectionStart::mean_pooling},
       {"convolution", linformer::ProjectionStart::convolution},
       {"gaussian", linformer::ProjectionStart::gaussian},
       {"random", linformer::ProjectionStart::random},
       {"fitted", linformer::ProjectionStart::growing_windows}}};  // and moved from there

  void add_lengths_to(CLI::App& app) {
    app.add_option("--length", length, "sequence length n; 0: the model's")->check(CLI::NonNegativeNumber);
    app.add_option("--projected-length", projected_lengths,
                   "projected length k: a number, or several by layer, by head, or by layer and head")
        ->check(CLI::PositiveNumber);
  }

  /// All but n and k.
  void add_projections_to(CLI::App& app) {
    encoder.add_projections_to(app);
    app.add_option(
           "--start", start,
           "what learned E and F start as; growing_windows: single tokens, then means of ever more; fitted: these, "
           "moved to where attention is closest to the model's on the first texts")
        ->check(CLI::IsMember({"growing_windows", "mean_pooling", "convolution", "gaussian", "random", "fitted"}));
    app.add_option("--fit-texts", fit_texts, "of --start fitted: how many texts it takes; those that follow judge it")
        ->check(CLI::PositiveNumber);
    app.add_option("--fit-iterations", fit.iterations, "of --start fitted: iterations at most, for each E")
        ->check(CLI::PositiveNumber);
    app.add_option("--fit-rounds", fit.rounds,
                   "of --start fitted, where E and F are apart: how often F is solved for and E moves")
        ->check(CLI::PositiveNumber);
    app.add_option("--ridge", fit.ridge, "of --start fitted: how strongly E and F are drawn back to where they began")
        ->check(CLI::NonNegativeNumber);
    app.add_flag("--log-count", log_count, "of mean pooling: add log(tokens in the window) to its score");
    app.add_option("--seed", seed, "of what is drawn");
  }

  /// Whether E and F are fitted to texts after they start.
  [[nodiscard]] bool fitted() const { return start == "fitted"; }

  /// @throws linformer::Error invalid_configuration
  [[nodiscard]] linformer::ConversionConfig config() const {
    return {.sequence_length = length,
            .projected_length = projected_lengths,
            .sharing = encoder.sharing_value(),
            .projection = {.kind = encoder.projection_value(), .log_count = log_count},
            .start = value_of(start_names, start),
            .seed = seed};
  }

  /// What `take_advice` reads. @param encoder that was looked at @param criterion that k was chosen by
  [[nodiscard]] nlohmann::ordered_json advice(const linformer::Encoder<float>& original,
                                              const std::string& criterion) const {
    nlohmann::ordered_json json = {{"sequence_length", length},
                                   {"projected_length", projected_lengths},
                                   {"sharing", encoder.sharing},
                                   {"projection", encoder.projection},
                                   {"start", start},
                                   {"log_count", log_count},
                                   {"seed", seed},
                                   {"criterion", criterion},
                                   {"layers", original.config().layers},
                                   {"heads", original.config().heads},
                                   {"width", original.config().model_width},
                                   {"model", fingerprint_of(original)}};
    if (fitted()) {
      json.update({{"fit_texts", fit_texts},
                   {"fit_iterations", fit.iterations},
                   {"fit_rounds", fit.rounds},
                   {"ridge", fit.ridge}});
    }
    return json;
  }

  /// Takes over the field "advice" of what spectrum wrote: all that says how E and F were made that were judged.
  /// @param original that is to be converted
  /// @throws linformer::Error file_access; malformed_input naming the file; invalid_configuration or unsupported naming
  ///   file and field, for advice to a model of other layers, heads or width among them
  Advice take_advice(const std::string& file, const linformer::Encoder<float>& original) {
    const nlohmann::json json = linformer::read_json(file);
    linformer::detail::require(json.is_object() && json.contains("advice"), linformer::ErrorCode::malformed_input, file,
                               "an object with the field advice", "none");
    return linformer::detail::within(file, [&] {
      linformer::detail::FieldReader reader(json["advice"]);
      Advice advice;
      reader.take("sequence_length", length);
      reader.take("projected_length", projected_lengths);
      reader.take("sharing", encoder.sharing);
      reader.take("projection", encoder.projection);
      linformer::ProjectionStart checked{};
      reader.take("start", start_names, checked);
      start = json["advice"]["start"];
      reader.take("log_count", log_count);
      reader.take("seed", seed);
      reader.take("criterion", advice.criterion);
      linformer::detail::require(advice.criterion == "output" || advice.criterion == "probabilities",
                                 linformer::ErrorCode::invalid_configuration, "criterion", "output or probabilities",
                                 linformer::detail::printable(advice.criterion));
      for (const auto& [field, its] :
           {std::pair("layers", original.config().layers), std::pair("heads", original.config().heads),
            std::pair("width", original.config().model_width)}) {
        linformer::Index advised = 0;
        reader.take(field, advised);
        linformer::detail::require_config(advised == its, field, std::to_string(its) + ", the model's", advised);
      }
      std::string model;
      reader.take("model", model);
      advice.same_model = model == fingerprint_of(original);
      if (fitted()) {
        reader.take("fit_texts", fit_texts);
        reader.take("fit_iterations", fit.iterations);
        reader.take("fit_rounds", fit.rounds);
        reader.take("ridge", fit.ridge);
      }
      reader.finish();
      return advice;
    });
  }
};
