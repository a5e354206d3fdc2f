#pragma once

#include <linformer/core/file.hpp>
#include <linformer/io/json.hpp>
#include <linformer/text/read_report.hpp>

#include "streams.hpp"

#include <nlohmann/json.hpp>

#include <optional>
#include <string>

/// Which fields of a record are its texts.
struct RecordFields {
  std::string text = "text";
  std::string second;  ///< of pairs; empty: there is none
};

/// A record of a JSON-lines file: an object in a line.
struct JsonRecord {
  linformer::Index line = 0;      ///< from 1
  std::string first{}, second{};  ///< texts
  nlohmann::json id{};            ///< the field "id", null where there is none
};

/// Reads the records of a JSON-lines file one after another. Lines of white space are none, and are passed over. A line
/// is malformed if it is too long, not UTF-8 (Unicode 15, table 3-7, which no escape may break either), no JSON as
/// `parse_json` takes it, not an object, or has no string in a field that should be a text.
class JsonRecordReader {
 public:
  /// @param longest bytes of a line that is a record: a file without ends of lines need not fit into memory
  /// @throws linformer::Error file_access naming the file
  JsonRecordReader(std::string path, RecordFields fields, std::size_t longest = linformer::json_size_limit)
      : path_(std::move(path)),
        fields_(std::move(fields)),
        longest_(longest),
        in_(linformer::detail::open_to_read(path_)) {}

  /// @param reject called as reject(malformed, line) with what is wrong and the bytes of the line, of one too long its
  ///     beginning
  /// @return nothing at the end of the file @throws linformer::Error file_access naming the file
  template <class Reject>
  std::optional<JsonRecord> next(const Reject& reject) {
    while (read_line()) {
      ++line_;
      if (!too_long_ && text_.find_first_not_of(" \t\r\v\f") == std::string::npos) continue;
      linformer::ReadReport::Malformed fault{path_, line_, {}, {}};
      if (auto record = parse(fault)) return record;
      reject(fault, text_);
    }
    return std::nullopt;
  }

  /// Bytes read so far.
  [[nodiscard]] double bytes() const { return bytes_; }

 private:
  /// Takes up the next line, without its end, as far as it may be a record. @return false if there is none
  bool read_line() {
    text_.clear();
    too_long_ = false;
    bool any = false;
    for (char block[1 << 12]; in_.good();) {
      in_.getline(block, sizeof block);
      const auto count = static_cast<std::size_t>(in_.gcount());
      any = any || count > 0;
      bytes_ += static_cast<double>(count);
      const bool goes_on = in_.fail() && !in_.eof() && !in_.bad();  // the line, beyond the block
      if (goes_on) in_.clear();
      const std::size_t characters = count - (count > 0 && !goes_on && !in_.eof() ? 1 : 0);
      const std::size_t taken = std::min(characters, longest_ - text_.size());
      text_.append(block, taken);
      too_long_ = too_long_ || taken < characters;
      if (!goes_on) break;
    }
    require_read_to_end(in_, path_);
    return any;
  }

  std::optional<JsonRecord> parse(linformer::ReadReport::Malformed& fault) const {
    if (too_long_) {
      fault.expected = "a line of at most " + std::to_string(longest_) + " bytes", fault.actual = "more";
      return std::nullopt;
    }
    if (const auto invalid = linformer::first_invalid_utf8(text_)) {
      fault.expected = "UTF-8", fault.actual = "an invalid byte at position " + std::to_string(*invalid);
      return std::nullopt;
    }
    nlohmann::json json;
    try {
      json = linformer::parse_json(text_, path_);
    } catch (const linformer::Error& error) {
      fault.expected = error.expected(), fault.actual = error.actual();
      return std::nullopt;
    }
    if (!json.is_object()) {
      fault.expected = "a JSON object", fault.actual = json.type_name();
      return std::nullopt;
    }
    JsonRecord record{.line = line_};
    if (!take(json, fields_.text, record.first, fault)) return std::nullopt;
    if (!fields_.second.empty() && !take(json, fields_.second, record.second, fault)) return std::nullopt;
    if (const auto id = json.find("id"); id != json.end()) record.id = std::move(*id);
    return record;
  }

  static bool take(const nlohmann::json& json, const std::string& name, std::string& text,
                   linformer::ReadReport::Malformed& fault) {
    const auto field = json.find(name);
    if (field != json.end() && field->is_string()) {
      text = field->get<std::string>();
      return true;
    }
    fault.expected = "a text in field '" + name + "'";
    fault.actual = field == json.end() ? "no such field" : field->type_name();
    return false;
  }

  std::string path_;
  RecordFields fields_;
  std::size_t longest_;
  std::ifstream in_;
  std::string text_;
  bool too_long_ = false;  ///< the line that is in `text_` as far as it goes
  linformer::Index line_ = 0;
  double bytes_ = 0;
};
