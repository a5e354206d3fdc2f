#pragma once

#include <linformer/core/file.hpp>
#include <linformer/text/read_report.hpp>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace linformer::inline LINFORMER_ABI {

enum class TableFormat {
  csv,  ///< RFC 4180: quoted fields may hold commas, line ends and doubled quotes
  tsv,  ///< as GLUE has it: a tab divides fields and a line is a row, whatever quotes say
};

struct TableConfig {
  TableFormat format = TableFormat::tsv;
  std::vector<std::string> columns{};  ///< names of the columns of a file without a header row; empty: the first row
  OnMalformed on_malformed = OnMalformed::fail;
  OnInvalidUtf8 on_invalid_utf8 = OnInvalidUtf8::keep;
};

struct TableRow {
  std::vector<std::string> fields;
  Index line = 0;  ///< of the file, from 1, where the row begins
};

namespace detail {

/// Rows of a stream as they stand, without a notion of columns.
class RowSplitter {
 public:
  RowSplitter(std::ifstream in, TableFormat format) : in_(std::move(in)), format_(format) {
    char mark[3] = {};  // a byte order mark says UTF-8 and belongs to no field
    in_.read(mark, sizeof mark);
    if (std::string_view(mark, sizeof mark) != "\xEF\xBB\xBF") in_.clear(), in_.seekg(0);
  }

  /// Fields of the next row. @param fault what is wrong with it, else empty @return false at the end
  bool next(TableRow& row, std::string& fault) {
    row.fields.clear();
    fault.clear();
    row.line = line_ + 1;
    return format_ == TableFormat::tsv ? next_tsv(row) : next_csv(row, fault);
  }

  /// Whether reading ended early.
  [[nodiscard]] bool failed() const { return in_.bad(); }

 private:
  bool next_tsv(TableRow& row) {
    std::string line;
    if (!std::getline(in_, line)) return false;
    ++line_;
    if (!line.empty() && line.back() == '\r') line.pop_back();
    std::size_t start = 0;
    for (std::size_t tab; (tab = line.find('\t', start)) != std::string::npos; start = tab + 1) {
      row.fields.push_back(line.substr(start, tab - start));
    }
    row.fields.push_back(line.substr(start));
    return true;
  }

  bool next_csv(TableRow& row, std::string& fault) {
    enum class State { start, plain, quoted, closed } state = State::start;
    std::string field;
    const auto end_field = [&] {
      row.fields.push_back(std::exchange(field, {}));
      state = State::start;
    };
    bool any = false;
    for (char c; in_.get(c);) {
      any = true;
      if (c == '\n') ++line_;
      if (state == State::quoted) {
        if (c == '"') {
          state = State::closed;
        } else {
          field += c;
        }
        continue;
      }
      if (c == '\r' && in_.peek() == '\n') continue;
      if (c == '\n') {
        end_field();
        return true;
      }
      if (c == ',') {
        end_field();
      } else if (c == '"' && state == State::start) {
        state = State::quoted;
      } else if (c == '"' && state == State::closed) {
        field += c;
        state = State::quoted;
      } else {
        if (c == '"') fault = "a quote within a field that is not quoted";
        if (state == State::closed) fault = "text after a closing quote";
        field += c;
        state = State::plain;
      }
    }
    if (!any) return false;
    if (state == State::quoted) fault = "a quote that nothing closes";
    end_field();
    return true;
  }

  std::ifstream in_;
  TableFormat format_;
  Index line_ = 0;
};

}  // namespace detail

/// Reads a table row by row. A row is malformed if it breaks the format, has more or fewer fields than there are
/// columns, or is no UTF-8 where that is asked for. Lines end in LF or CRLF; a byte order mark and empty lines between
/// rows of several columns are passed over.
class TableReader {
 public:
  /// Opens a file and reads its header. @throws Error file_access; malformed_input if the header is
  explicit TableReader(std::filesystem::path path, TableConfig config = {})
      : path_(std::move(path)),
        config_(std::move(config)),
        rows_(detail::open_to_read(path_), config_.format),
        columns_(config_.columns) {
    if (!columns_.empty()) return;
    TableRow header;
    std::string fault;
    if (!rows_.next(header, fault)) fault = "an empty file";
    if (!fault.empty()) report_.reject({path_.string(), 1, "a header row", fault}, OnMalformed::fail);
    columns_ = std::move(header.fields);
  }

  [[nodiscard]] const std::vector<std::string>& columns() const noexcept { return columns_; }

  /// Place of a column in a row. @throws Error malformed_input unless exactly one has the name
  [[nodiscard]] std::size_t column(std::string_view name) const {
    const auto found = std::find(columns_.begin(), columns_.end(), name);
    if (found == columns_.end() || std::find(found + 1, columns_.end(), name) != columns_.end()) {
      std::string names;
      for (const std::string& each : columns_) names += (names.empty() ? "'" : ", '") + each + "'";
      throw Error(ErrorCode::malformed_input, path_.string(), "one column '" + std::string(name) + "'", names);
    }
    return static_cast<std::size_t>(found - columns_.begin());
  }

  /// The next row that is well formed, with as many fields as columns. @return false at the end
  /// @throws Error file_access if the disk fails; malformed_input if the configuration says so
  bool next(TableRow& row) {
    for (std::string fault; rows_.next(row, fault);) {
      if (columns_.size() > 1 && row.fields.size() == 1 && row.fields.front().empty() && fault.empty()) continue;
      if (!fault.empty()) {
        reject(row, "a row of CSV (RFC 4180)", fault);
      } else if (row.fields.size() != columns_.size()) {
        reject(row, std::to_string(columns_.size()) + " fields", std::to_string(row.fields.size()));
      } else if (take_text(row)) {
        ++report_.accepted;
        return true;
      }
    }
    if (rows_.failed()) detail::throw_file_access(path_, "a file that can be read to its end");
    return false;
  }

  /// Counts the row that came last as malformed after all. @throws Error malformed_input if the configuration says so
  void reject_last(const TableRow& row, std::string expected, std::string actual) {
    --report_.accepted;
    reject(row, std::move(expected), std::move(actual));
  }

  [[nodiscard]] const ReadReport& report() const noexcept { return report_; }

 private:
  void reject(const TableRow& row, std::string expected, std::string actual) {
    report_.reject({path_.string(), row.line, std::move(expected), std::move(actual)}, config_.on_malformed);
  }

  bool take_text(TableRow& row) {
    for (std::size_t i = 0; i < row.fields.size(); ++i) {
      std::string fault = report_.check_utf8(row.fields[i], config_.on_invalid_utf8);
      if (fault.empty()) continue;
      reject(row, "UTF-8 in column '" + columns_[i] + "'", std::move(fault));
      return false;
    }
    return true;
  }

  std::filesystem::path path_;
  TableConfig config_;
  detail::RowSplitter rows_;
  std::vector<std::string> columns_;
  ReadReport report_;
};

}  // namespace linformer::inline LINFORMER_ABI
