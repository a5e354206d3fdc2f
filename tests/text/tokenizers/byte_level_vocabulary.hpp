#pragma once

#include <linformer/text/tokenizers/byte_level_bpe_tokenizer.hpp>

#include <string>
#include <vector>

namespace linformer_test {

/// <s> <pad> </s> <unk> <mask>, the 256 bytes from id 5 on, and from 261 on what the merges make.
inline linformer::BytePairVocabulary byte_level_vocabulary(
    const std::vector<std::pair<std::string, std::string>>& merges) {
  linformer::BytePairVocabulary vocabulary{.tokens = {"<s>", "<pad>", "</s>", "<unk>", "<mask>"}, .merges = merges};
  for (const char32_t symbol : linformer::detail::byte_symbols) {
    linformer::detail::append_utf8(symbol, vocabulary.tokens.emplace_back());
  }
  for (const auto& [left, right] : merges) vocabulary.tokens.push_back(left + right);
  return vocabulary;
}

}  // namespace linformer_test
