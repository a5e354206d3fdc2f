#pragma once

#include <linformer/core/file.hpp>

#include "any_tokenizer.hpp"

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
  }
  return sequences;
}

/// The first sequences of `length` tokens that the lines of files make one after another; the last may be shorter.
inline std::vector<std::vector<linformer::TokenId>> read_joined_lines(const AnyTokenizer& tokenizer,
                                                                      const std::vector<std::string>& files,
                                                                      linformer::Index length, std::size_t most) {
  std::vector<linformer::TokenId> tokens;
  for (const std::string& file : files) {
    std::ifstream in = linformer::detail::open_to_read(file);
    for (std::string line; tokens.size() < most * static_cast<std::size_t>(length) && std::getline(in, line);) {
      const std::vector<linformer::TokenId> its = tokenizer.encode(line + '\n');
      tokens.insert(tokens.end(), its.begin(), its.end());
    }
  }
  if (tokens.empty()) return {};
  auto sequences = linformer::frame_tokens(tokens, tokenizer.special_tokens(),
                                           {.length = length, .on_too_long = linformer::OnTooLong::windows})
                       .sequences;
  if (sequences.size() > most) sequences.resize(most);
  return sequences;
}
