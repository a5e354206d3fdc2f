#pragma once

#include <linformer/core/file.hpp>
#include <linformer/text/read_report.hpp>

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
/// is malformed if it is not UTF-8 (Unicode 15, table 3-7, which no escape may break either), not a JSON object, or has
/// no string in a field that should be a text.
class JsonRecordReader {
 public:
  /// @throws linformer::Error file_access naming the file
  JsonRecordReader(std::string path, RecordFields fields)
      : path_(std::move(path)), fields_(std::move(fields)), in_(linformer::detail::open_to_read(path_)) {}

  /// @param reject called as reject(malformed, line) with what is wrong and the bytes of the line
  /// @return nothing at the end of the file @throws linformer::Error file_access naming the file
  template <class Reject>
  std::optional<JsonRecord> next(const Reject& reject) {
    for (; std::getline(in_, text_); bytes_ += static_cast<double>(text_.size() + 1)) {
      ++line_;
      if (text_.find_first_not_of(" \t\r\v\f") == std::string::npos) continue;
      linformer::ReadReport::Malformed fault{path_, line_, {}, {}};
      if (auto record = parse(fault)) {
        bytes_ += static_cast<double>(text_.size() + 1);
        return record;
      }
      reject(fault, text_);
    }
    if (in_.bad()) linformer::detail::throw_file_access(path_, "a file that can be read");
    return std::nullopt;
  }

  /// Bytes read so far.
  [[nodiscard]] double bytes() const { return bytes_; }

 private:
  std::optional<JsonRecord> parse(linformer::ReadReport::Malformed& fault) const {
    if (const auto invalid = linformer::first_invalid_utf8(text_)) {
      fault.expected = "UTF-8", fault.actual = "an invalid byte at position " + std::to_string(*invalid);
      return std::nullopt;
    }
    nlohmann::json json = nlohmann::json::parse(text_, nullptr, /*allow_exceptions=*/false);
    if (!json.is_object()) {
      fault.expected = "a JSON object", fault.actual = json.is_discarded() ? "no JSON" : json.type_name();
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
  std::ifstream in_;
  std::string text_;
  linformer::Index line_ = 0;
  double bytes_ = 0;
};
