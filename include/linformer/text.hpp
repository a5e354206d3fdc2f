#pragma once

// Text to tokens, and readers of data sets. Needs nothing of the layers; SentencePiece is a component of its own:
// linformer/text/sentencepiece_tokenizer.hpp, target linformer::sentencepiece. So are the tokenizers of pretrained models:
// linformer/tokenizers.hpp, target linformer::tokenizers.

#include <linformer/core/utf8.hpp>
#include <linformer/text/byte_tokenizer.hpp>
#include <linformer/text/dataset.hpp>
#include <linformer/text/documents.hpp>
#include <linformer/text/encode_text.hpp>
#include <linformer/text/imdb.hpp>
#include <linformer/text/listops.hpp>
#include <linformer/text/listops_generator.hpp>
#include <linformer/text/read_report.hpp>
#include <linformer/text/table.hpp>
#include <linformer/text/tokenizer.hpp>
