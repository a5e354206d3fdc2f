#pragma once

#include <linformer/core/file.hpp>
#include <linformer/text/tokenizer.hpp>

#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace linformer::inline LINFORMER_ABI {

/// Names of special tokens in a vocabulary, empty where there is none.
struct SpecialNames {
  std::string bos, pad, eos, unknown, mask;
  Index separators = 2;  ///< see `SpecialTokens`
};

/// [CLS] [PAD] [SEP] [UNK] [MASK]
[[nodiscard]] inline SpecialNames bert_special_names() {
  return {.bos = "[CLS]", .pad = "[PAD]", .eos = "[SEP]", .unknown = "[UNK]", .mask = "[MASK]", .separators = 1};
}

/// <s> <pad> </s> <unk> <mask>
[[nodiscard]] inline SpecialNames roberta_special_names() {
  return {.bos = "<s>", .pad = "<pad>", .eos = "</s>", .unknown = "<unk>", .mask = "<mask>"};
}

/// A vocabulary of byte-level BPE, spelled as its files spell it.
struct BytePairVocabulary {
  std::vector<std::string> tokens;                          ///< by id
  std::vector<std::pair<std::string, std::string>> merges;  ///< the first one first
  std::string place = "merge ";  ///< where merges stand, as errors say it before a number …
  Index first = 1;               ///< … that counts from here
};

namespace detail {

struct TextHash {
  using is_transparent = void;
  [[nodiscard]] std::size_t operator()(std::string_view text) const noexcept {
    return std::hash<std::string_view>()(text);
  }
};

using TokenMap = std::unordered_map<std::string, TokenId, TextHash, std::equal_to<>>;

[[nodiscard]] inline TokenId find_token(const TokenMap& map, std::string_view text) {
  const auto found = map.find(text);
  return found == map.end() ? no_token : found->second;
}

/// Ids of tokens. @throws Error malformed_input naming `file` if a token is there twice
[[nodiscard]] inline TokenMap token_map(const std::vector<std::string>& tokens, const std::string& file) {
  TokenMap map;
  map.reserve(tokens.size());
  for (std::size_t id = 0; id < tokens.size(); ++id) {
    const auto [earlier, added] = map.emplace(tokens[id], static_cast<TokenId>(id));
    if (added) continue;
    throw Error(ErrorCode::malformed_input, file, "every token once",
                "'" + tokens[id] + "' as " + std::to_string(earlier->second) + " and " + std::to_string(id));
  }
  return map;
}

/// @throws Error malformed_input naming `file` if a token with a name is not there
[[nodiscard]] inline SpecialTokens find_special(const SpecialNames& names, const TokenMap& map,
                                                const std::string& file) {
  const auto find = [&](const std::string& name) {
    const TokenId token = name.empty() ? no_token : find_token(map, name);
    if (token == no_token && !name.empty()) {
      throw Error(ErrorCode::malformed_input, file, "the special token '" + name + "'", "none");
    }
    return token;
  };
  return {.bos = find(names.bos),
          .pad = find(names.pad),
          .eos = find(names.eos),
          .unknown = find(names.unknown),
          .mask = find(names.mask),
          .separators = names.separators};
}

/// Lines of a file that end in LF or CRLF; an end of line at its end begins none.
[[nodiscard]] inline std::vector<std::string> read_lines(const std::filesystem::path& path) {
  const std::string bytes = read_file(path);
  std::vector<std::string> lines;
  for (std::size_t at = 0; at < bytes.size();) {
    const std::size_t end = std::min(bytes.find('\n', at), bytes.size());
    std::string& line = lines.emplace_back(bytes, at, end - at);
    if (line.ends_with('\r')) line.pop_back();
    at = end + 1;
  }
  return lines;
}

}  // namespace detail

}  // namespace linformer::inline LINFORMER_ABI
