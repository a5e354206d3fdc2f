#pragma once

#include <linformer/core/file.hpp>
#include <linformer/text/read_report.hpp>

#include <filesystem>
#include <optional>
#include <string_view>

namespace linformer::inline LINFORMER_ABI {

/// Where a new document begins in a plain text file.
enum class DocumentBreak {
  none,        ///< nowhere: the file is one document
  line,        ///< at every line; the line ends (LF or CRLF) and empty lines belong to no document
  blank_line,  ///< after lines of white space alone, which belong to no document
  heading,     ///< at a line ` = Heading = ` of WikiText, first level only, that stands between blank lines
};

struct DocumentConfig {
  DocumentBreak break_at = DocumentBreak::none;
  OnMalformed on_malformed = OnMalformed::fail;
  OnInvalidUtf8 on_invalid_utf8 = OnInvalidUtf8::keep;
};

struct Documents {
  std::vector<std::string> texts;  ///< in the order of the file
  ReadReport report;
};

namespace detail {

struct TextLine {
  std::string_view text;           ///< without its end
  std::size_t begin = 0, end = 0;  ///< in the file, with its end
  Index number = 0;                ///< from 1

  [[nodiscard]] bool blank() const { return text.find_first_not_of(" \t\r\v\f") == std::string_view::npos; }
};

inline std::vector<TextLine> split_lines(std::string_view text) {
  std::vector<TextLine> lines;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t feed = std::min(text.find('\n', begin), text.size());
    std::string_view line = text.substr(begin, feed - begin);
    if (line.ends_with('\r')) line.remove_suffix(1);
    const std::size_t end = std::min(feed + 1, text.size());
    lines.push_back({.text = line, .begin = begin, .end = end, .number = static_cast<Index>(lines.size()) + 1});
    begin = end;
  }
  return lines;
}

/// Whether line i is a heading of the first level. Blank lines must surround it: WikiText breaks legends of tables into
/// lines such as ` = Wins ; L = ` too.
inline bool starts_article(const std::vector<TextLine>& lines, std::size_t i) {
  const std::string_view text = lines[i].text;
  return text.size() > 6 && text.starts_with(" = ") && text.ends_with(" = ") && !text.starts_with(" = = ") &&
         (i == 0 || lines[i - 1].blank()) && (i + 1 == lines.size() || lines[i + 1].blank());
}

}  // namespace detail

/// Reads the documents of a plain text file. Without a break, and at headings, every byte of the file belongs to a
/// document; blank lines before the first heading belong to the first article. A document of white space alone is none.
/// @throws Error file_access; malformed_input on invalid UTF-8 if the configuration says so
[[nodiscard]] inline Documents read_documents(const std::filesystem::path& path, const DocumentConfig& config = {}) {
  const std::string bytes = read_file(path);
  std::string_view text = bytes;
  Documents documents;
  const auto add = [&](std::string_view document, Index line) {
    std::string taken(document);
    std::string fault = documents.report.check_utf8(taken, config.on_invalid_utf8);
    if (!fault.empty()) {
      documents.report.reject({path.string(), line, "UTF-8", std::move(fault)}, config.on_malformed);
      return;
    }
    ++documents.report.accepted;
    documents.texts.push_back(std::move(taken));
  };
  const auto lines = detail::split_lines(text);
  std::optional<std::size_t> open;  // first line of the document at hand
  bool blank_so_far = true;
  const auto close = [&](std::size_t end) {
    if (open && !blank_so_far) add(text.substr(lines[*open].begin, end - lines[*open].begin), lines[*open].number);
    open.reset();
    blank_so_far = true;
  };
  for (std::size_t i = 0; i < lines.size(); ++i) {
    const bool blank = lines[i].blank();
    switch (config.break_at) {
      case DocumentBreak::none:
        break;
      case DocumentBreak::line:
        if (!lines[i].text.empty()) add(lines[i].text, lines[i].number);
        continue;
      case DocumentBreak::blank_line:
        if (blank) {
          close(lines[i].begin);
          continue;
        }
        break;
      case DocumentBreak::heading:
        if (!blank_so_far && detail::starts_article(lines, i)) close(lines[i].begin);
        break;
    }
    if (!open) open = i;
    blank_so_far = blank_so_far && blank;
  }
  close(text.size());
  return documents;
}

}  // namespace linformer::inline LINFORMER_ABI
