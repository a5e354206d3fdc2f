#pragma once

#include <linformer/model/encoder.hpp>

#include <string>

/// The encoder of a folder: of a model of this library, whatever head it has, or of a BERT, RoBERTa or XLM-RoBERTa of
/// Hugging Face's; what of the latter is left aside is told on stderr.
linformer::Encoder<float> load_encoder(const std::string& folder);
