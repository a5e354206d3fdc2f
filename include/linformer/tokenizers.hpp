#pragma once

// Tokenizers of pretrained encoders, WordPiece and byte-level BPE, from Hugging Face's files. Link
// linformer::tokenizers, which brings utf8proc and nlohmann-json. XLM-R's is in
// linformer/text/sentencepiece_xlm_roberta.hpp.

#include <linformer/text/encode_text.hpp>
#include <linformer/text/tokenizers/load_tokenizer.hpp>
