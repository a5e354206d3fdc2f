#pragma once

#include <linformer/io/json.hpp>
#include <linformer/text/tokenizers/byte_level_bpe_tokenizer.hpp>

#include <string>
#include <utility>
#include <vector>

namespace linformer::inline LINFORMER_ABI {

namespace detail {

/// A value of a JSON file, and where it stands there. Every function throws malformed_input naming file and place.
class JsonValue {
 public:
  JsonValue(const nlohmann::json& value, std::string file, std::string place = {})
      : value_(&value), file_(std::move(file)), place_(std::move(place)) {}

  [[nodiscard]] const nlohmann::json& json() const noexcept { return *value_; }
  [[nodiscard]] const std::string& file() const noexcept { return file_; }
  [[nodiscard]] bool is_null() const noexcept { return value_->is_null(); }

  [[noreturn]] void fail(std::string expected, ErrorCode code = ErrorCode::malformed_input) const {
    const auto type = value_->is_object() ? value_->find("type") : value_->end();
    throw Error(code, file_ + (place_.empty() ? "" : ": " + place_), std::move(expected),
                shown(type == value_->end() || !type->is_string() ? *value_ : *type));
  }

  /// A field, null where there is none.
  [[nodiscard]] JsonValue operator[](const std::string& key) const {
    static const nlohmann::json null;
    if (!value_->is_object()) fail("an object");
    const auto found = value_->find(key);
    return {found == value_->end() ? null : *found, file_, place_.empty() ? key : place_ + "." + key};
  }
  [[nodiscard]] std::vector<JsonValue> elements() const {
    if (!value_->is_array()) fail("an array");
    std::vector<JsonValue> values;
    for (std::size_t i = 0; i < value_->size(); ++i) {
      values.emplace_back((*value_)[i], file_, place_ + "[" + std::to_string(i) + "]");
    }
    return values;
  }
  [[nodiscard]] std::string text() const {
    if (!value_->is_string()) fail("a string");
    return value_->get<std::string>();
  }
  [[nodiscard]] bool boolean(bool otherwise) const {
    if (is_null()) return otherwise;
    if (!value_->is_boolean()) fail("true or false");
    return value_->get<bool>();
  }
  [[nodiscard]] TokenId id() const {
    constexpr auto most = static_cast<std::uint64_t>(std::numeric_limits<TokenId>::max());
    if (!value_->is_number_unsigned() || value_->get<std::uint64_t>() > most) fail("an id of a token");
    return value_->get<TokenId>();
  }

 private:
  const nlohmann::json* value_;
  std::string file_, place_;
};

using NamedIds = std::vector<std::pair<std::string, TokenId>>;

[[nodiscard]] inline NamedIds read_ids(const JsonValue& vocabulary) {
  if (!vocabulary.json().is_object()) vocabulary.fail("an object of ids");
  NamedIds ids;
  for (const auto& [token, id] : vocabulary.json().items()) ids.emplace_back(token, vocabulary[token].id());
  return ids;
}

/// Tokens in the order of their ids. @throws Error malformed_input unless ids are 0 to n − 1, each once
[[nodiscard]] inline std::vector<std::string> in_order(const NamedIds& ids, const std::string& file) {
  std::vector<std::string> tokens(ids.size());
  std::vector<bool> taken(ids.size());
  for (const auto& [token, id] : ids) {
    const auto place = static_cast<std::size_t>(id);
    if (place >= ids.size() || taken[place]) {
      throw Error(ErrorCode::malformed_input, file, "ids 0 to " + std::to_string(ids.size() - 1) + ", each once",
                  std::to_string(id) + (place >= ids.size() ? "" : " again") + " for '" + token + "'");
    }
    taken[place] = true;
    tokens[place] = token;
  }
  return tokens;
}

/// Two tokens with a space between them.
[[nodiscard]] inline std::pair<std::string, std::string> split_merge(const std::string& line, const std::string& file,
                                                                     const std::string& place) {
  const std::size_t space = line.find(' ');
  if (space == 0 || space >= line.size() - 1 || line.find(' ', space + 1) != std::string::npos || line.empty()) {
    throw Error(ErrorCode::malformed_input, file, "two tokens and a space between them", "'" + line + "' in " + place);
  }
  return {line.substr(0, space), line.substr(space + 1)};
}

}  // namespace detail

/// The tokenizer of vocab.json and merges.txt.
/// @throws Error file_access; malformed_input naming the file and its key or line
[[nodiscard]] inline ByteLevelBpeTokenizer read_byte_level_bpe(const std::filesystem::path& vocabulary,
                                                               const std::filesystem::path& merges,
                                                               ByteLevelBpeConfig config = {}) {
  const nlohmann::json json = read_json(vocabulary);
  BytePairVocabulary pairs{
      .tokens = detail::in_order(detail::read_ids({json, vocabulary.string()}), vocabulary.string()),
      .merges = {},
      .place = "line "};
  const std::vector<std::string> lines = detail::read_lines(merges);
  std::size_t line = 0;
  if (!lines.empty() && lines.front().starts_with("#version")) ++line;
  pairs.first = static_cast<Index>(line) + 1;
  for (; line < lines.size(); ++line) {
    pairs.merges.push_back(detail::split_merge(lines[line], merges.string(), "line " + std::to_string(line + 1)));
  }
  return {pairs, std::move(config), vocabulary.string(), merges.string()};
}

}  // namespace linformer::inline LINFORMER_ABI
