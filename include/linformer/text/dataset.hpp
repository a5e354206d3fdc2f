#pragma once

#include <linformer/text/table.hpp>

#include <charconv>
#include <optional>

namespace linformer::inline LINFORMER_ABI {

/// A text, or a pair of texts, and its class.
struct Example {
  std::string first, second;  ///< second: empty where there is one text
  int label = -1;             ///< class from 0; -1: none

  friend bool operator==(const Example&, const Example&) = default;
};

/// Examples in the order of the file, and what was not taken.
struct Dataset {
  std::vector<Example> examples;
  ReadReport report;
};

/// Which columns of a table hold what. The defaults read SST-2.
struct ExampleConfig {
  std::string first = "sentence";          ///< column of the text
  std::string second{};                    ///< of the second text; empty: there is none
  std::string label = "label";             ///< of the class; empty: there is none, as in GLUE's test sets
  std::vector<std::string> label_names{};  ///< names of the classes 0, 1, …; empty: the column holds their numbers
  int classes = 0;                         ///< numbers go from 0 to classes − 1; 0: any from 0
  std::optional<TableFormat> format{};     ///< none: CSV if the file's name ends in .csv, else TSV
  std::vector<std::string> columns{};      ///< names of the columns of a file without a header row
  OnMalformed on_malformed = OnMalformed::fail;
  OnInvalidUtf8 on_invalid_utf8 = OnInvalidUtf8::keep;
};

namespace detail {

/// The class that a field states, if it states one.
inline std::optional<int> parse_label(std::string_view text, const ExampleConfig& config) {
  if (!config.label_names.empty()) {
    const auto found = std::find(config.label_names.begin(), config.label_names.end(), text);
    if (found == config.label_names.end()) return std::nullopt;
    return static_cast<int>(found - config.label_names.begin());
  }
  int label = 0;
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), label);
  if (failure != std::errc() || end != text.data() + text.size() || label < 0) return std::nullopt;
  if (config.classes != 0 && label >= config.classes) return std::nullopt;
  return label;
}

inline std::string label_description(const ExampleConfig& config) {
  std::string text = "a label in column '" + config.label + "': ";
  for (const std::string& name : config.label_names) text += (text.back() == ' ' ? "" : ", ") + name;
  if (!config.label_names.empty()) return text;
  return text + "a number from 0" + (config.classes == 0 ? "" : " to " + std::to_string(config.classes - 1));
}

}  // namespace detail

/// Reads the examples of a TSV or CSV file. A row whose label is none of the classes is malformed as well.
/// @throws Error file_access; malformed_input on a header without the columns, and on rows if the configuration says so
[[nodiscard]] inline Dataset read_examples(const std::filesystem::path& path, const ExampleConfig& config = {}) {
  const auto by_name = path.extension() == ".csv" ? TableFormat::csv : TableFormat::tsv;
  TableReader reader(path, {.format = config.format.value_or(by_name),
                            .columns = config.columns,
                            .on_malformed = config.on_malformed,
                            .on_invalid_utf8 = config.on_invalid_utf8});
  const auto place = [&](const std::string& name) {
    return name.empty() ? std::nullopt : std::optional(reader.column(name));
  };
  const std::size_t first = reader.column(config.first);
  const auto second = place(config.second), label = place(config.label);
  Dataset data;
  for (TableRow row; reader.next(row);) {
    Example example;
    if (label) {
      const auto stated = detail::parse_label(row.fields[*label], config);
      if (!stated) {
        reader.reject_last(row, detail::label_description(config), "'" + row.fields[*label] + "'");
        continue;
      }
      example.label = *stated;
    }
    example.first = row.fields[first];
    if (second) example.second = row.fields[*second];
    data.examples.push_back(std::move(example));
  }
  data.report = reader.report();
  return data;
}

}  // namespace linformer::inline LINFORMER_ABI
