#pragma once

#include <linformer/core/file.hpp>
#include <linformer/text/read_report.hpp>

#include <algorithm>
#include <filesystem>
#include <string_view>

namespace linformer::inline LINFORMER_ABI {

/// Where a new document begins in a plain text file.
enum class DocumentBreak {
  none,        ///< nowhere: the file is one document
  line,        ///< at every line; line ends (LF or CRLF) and lines of white space belong to no document
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
  const std::string_view text = bytes;
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
  std::size_t first = 0;  // line where the document at hand begins
  bool blank = true;      // whether it is white space so far
  const auto close = [&](std::size_t end, std::size_t next) {
    if (!blank) add(text.substr(lines[first].begin, lines[end - 1].end - lines[first].begin), lines[first].number);
    first = next;
    blank = true;
  };
  for (std::size_t i = 0; i < lines.size(); ++i) {
    if (config.break_at == DocumentBreak::line) {
      if (!lines[i].blank()) add(lines[i].text, lines[i].number);
      continue;
    }
    if (config.break_at == DocumentBreak::blank_line && lines[i].blank()) {
      close(i, i + 1);
      continue;
    }
    if (config.break_at == DocumentBreak::heading && !blank && detail::starts_article(lines, i)) close(i, i);
    blank = blank && lines[i].blank();
  }
  close(lines.size(), lines.size());
  return documents;
}

}  // namespace linformer::inline LINFORMER_ABI
