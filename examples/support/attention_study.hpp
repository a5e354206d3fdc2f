#pragma once

#include <linformer/pretrained/projection_advice.hpp>
#include <linformer/pretrained/spectrum.hpp>

#include "progress.hpp"

/// What the heads of all layers do, layer by layer, and what projections make of it.
struct AttentionStudy {
  std::vector<linformer::AttentionSpectrum> spectra;            ///< L·h
  std::vector<std::vector<linformer::ProjectionError>> errors;  ///< of each of the projections tried, L·h each

  /// Of heads that saw nothing yet. @param length n
  AttentionStudy(const linformer::EncoderConfig& config, linformer::Index length, std::size_t projections)
      : spectra(static_cast<std::size_t>(config.layers * config.heads),
                linformer::AttentionSpectrum(length, config.model_width / config.heads)),
        errors(projections, std::vector<linformer::ProjectionError>(spectra.size())) {}

  /// Sums over the heads that share projections.
  [[nodiscard]] AttentionStudy merged(linformer::Index heads, linformer::Sharing sharing) const {
    AttentionStudy result = *this;
    result.spectra = linformer::sums_by_length<linformer::AttentionSpectrum>(spectra, heads, sharing);
    for (std::size_t i = 0; i < errors.size(); ++i) {
      result.errors[i] = linformer::sums_by_length<linformer::ProjectionError>(errors[i], heads, sharing);
    }
    return result;
  }

  /// One entry's errors, by projections.
  [[nodiscard]] std::vector<linformer::ProjectionError> errors_of(std::size_t entry) const {
    std::vector<linformer::ProjectionError> result;
    for (const auto& of_projections : errors) result.push_back(of_projections[entry]);
    return result;
  }
};

/// Looks at the attention of every layer and head for texts one by one, with progress on stderr.
/// @param length n of the projections
inline AttentionStudy study_attention(const linformer::Encoder<float>& encoder,
                                      const std::vector<linformer::ProjectionSet<float>>& projections,
                                      linformer::Index length, std::span<const std::vector<std::int32_t>> texts,
                                      const linformer::Execution& execution) {
  const linformer::EncoderConfig& config = encoder.config();
  const linformer::AttentionHeads<float> heads(encoder, length);
  AttentionStudy result(config, length, projections.size());
  Progress progress("spectrum", static_cast<double>(texts.size()) * static_cast<double>(config.layers), "layers");
  double done = 0;
  for (std::size_t text = 0; text < texts.size(); ++text) {
    const auto add = [&](const linformer::LayerAttention<float>& attention) {
      const auto of_layer = [&](auto& all) {
        return std::span(all).subspan(static_cast<std::size_t>(attention.layer * config.heads),
                                      static_cast<std::size_t>(config.heads));
      };
      linformer::add_spectra<float>(attention, of_layer(result.spectra), execution);
      for (std::size_t i = 0; i < projections.size(); ++i) {
        linformer::add_projection_errors<float>(heads, attention, projections[i], of_layer(result.errors[i]),
                                                execution);
      }
      progress.update(++done);
    };
    heads.for_each(linformer::TokenBatch::from_sequences(texts.subspan(text, 1)), add, execution);
  }
  return result;
}
