#pragma once

#include <linformer/core/file.hpp>

#include "any_tokenizer.hpp"
#include "streams.hpp"

#include <limits>
#include <string>
#include <vector>

/// Counts texts and those of which not all was read, to say so.
class CutTexts {
 public:
  void add(const linformer::EncodedText& text) {
    ++texts_;
    cut_ += text.dropped() > 0 ? 1 : 0;
  }
  /// On stderr, where there were any. @param length tokens that were read of a text
  void tell(linformer::Index length) const {
    if (cut_ == 0) return;
    std::fprintf(stderr, "%td of %td texts have more than %td tokens and were cut there.\n", cut_, texts_, length);
  }

 private:
  linformer::Index texts_ = 0, cut_ = 0;
};

/// The first texts of files, a line each, that are not empty, as sequences of at most `length` tokens; how many were
/// cut is told on stderr.
inline std::vector<std::vector<linformer::TokenId>> read_text_lines(
    const AnyTokenizer& tokenizer, const std::vector<std::string>& files, linformer::Index length,
    std::size_t most = std::numeric_limits<std::size_t>::max()) {
  std::vector<std::vector<linformer::TokenId>> sequences;
  CutTexts cut;
  for (const std::string& file : files) {
    std::ifstream in = linformer::detail::open_to_read(file);
    for (std::string line; sequences.size() < most && next_line(in, line);) {
      if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
      linformer::EncodedText text = linformer::encode_text(tokenizer, line, {.length = length});
      cut.add(text);
      sequences.push_back(std::move(text.sequences.front()));
    }
    require_read_to_end(in, file);
  }
  cut.tell(length);
  return sequences;
}
