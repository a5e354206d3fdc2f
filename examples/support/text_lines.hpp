#pragma once

#include <linformer/core/file.hpp>

#include "any_tokenizer.hpp"
#include "streams.hpp"

#include <limits>
#include <string>
#include <vector>

/// The first texts of files, a line each, that are not empty, as sequences of at most `length` tokens.
inline std::vector<std::vector<linformer::TokenId>> read_text_lines(
    const AnyTokenizer& tokenizer, const std::vector<std::string>& files, linformer::Index length,
    std::size_t most = std::numeric_limits<std::size_t>::max()) {
  std::vector<std::vector<linformer::TokenId>> sequences;
  for (const std::string& file : files) {
    std::ifstream in = linformer::detail::open_to_read(file);
    for (std::string line; sequences.size() < most && std::getline(in, line);) {
      if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
      sequences.push_back(std::move(linformer::encode_text(tokenizer, line, {.length = length}).sequences.front()));
    }
    require_read_to_end(in, file);
  }
  return sequences;
}
