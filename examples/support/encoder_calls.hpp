#pragma once

#include <linformer/model/sentence_embeddings.hpp>
#include <linformer/pretrained/conversion_cost.hpp>
#include <linformer/pretrained/distillation.hpp>
#include <linformer/pretrained/fit_projections.hpp>

#include <optional>
#include <string>
#include <vector>

// What several programs do with an encoder, compiled once.

/// The encoder of a folder: of a model of this library, whatever head it has, or of a BERT, RoBERTa or XLM-RoBERTa of
/// Hugging Face's; what of the latter is left aside is told on stderr.
linformer::Encoder<float> load_encoder(const std::string& folder);

/// The masked language model of a folder, of either kind, or nothing where it has no such head.
std::optional<linformer::MaskedLanguageModel<float>> load_masked_language_model(const std::string& folder);

/// The same, or nothing where its head cannot be read, which is told on stderr: its encoder may be.
std::optional<linformer::MaskedLanguageModel<float>> load_masked_language_model_if_read(const std::string& folder);

/// Writes an encoder to a file, with the head of a masked language model of its width and words, where there is one.
void save_encoder(const std::string& path, const linformer::Encoder<float>& encoder,
                  std::optional<linformer::MaskedLanguageModel<float>> head);

/// The last layer's output for each token.
linformer::Matrix<float> hidden_states(const linformer::Encoder<float>& encoder, const linformer::TokenBatch& tokens,
                                       const linformer::Execution& execution);

/// `fit_projections` with its progress on stderr.
std::vector<linformer::ProjectionFit> fit_with_progress(const linformer::Encoder<float>& original,
                                                        linformer::Encoder<float>& converted,
                                                        const linformer::TokenBatch& texts,
                                                        const linformer::FitConfig& config,
                                                        const linformer::Execution& execution);

extern template linformer::Matrix<float> linformer::sentence_embeddings<float, linformer::Trainable>(
    const linformer::Encoder<float>&, const linformer::TokenBatch&, const linformer::Execution&,
    const linformer::WorldView&);
extern template linformer::Matrix<float> linformer::sentence_embeddings<float, linformer::Frozen>(
    const linformer::FrozenEncoder<float>&, const linformer::TokenBatch&, const linformer::Execution&,
    const linformer::WorldView&);
extern template std::vector<linformer::LayerDifference> linformer::layer_differences<float>(
    const linformer::Encoder<float>&, const linformer::Encoder<float>&, const linformer::TokenBatch&,
    const linformer::Execution&);
extern template linformer::LossSum linformer::distillation_gradient<float>(
    const linformer::Encoder<float>&, const linformer::TeacherOutputs<float>&, const linformer::TokenBatch&,
    const linformer::DistillationConfig&, const linformer::EncoderOptions&, double, linformer::EncoderCache<float>&,
    linformer::Encoder<float>&, const linformer::Execution&);
extern template linformer::LossSum linformer::distillation_gradient<float>(
    const linformer::MaskedLanguageModel<float>&, const linformer::MaskedLanguageModel<float>&,
    const linformer::TeacherOutputs<float>&, const linformer::BatchLayout&, const linformer::MaskedTokens&,
    const linformer::DistillationConfig&, const linformer::EncoderOptions&, double, linformer::EncoderCache<float>&,
    linformer::MaskedLanguageModel<float>&, const linformer::Execution&);
