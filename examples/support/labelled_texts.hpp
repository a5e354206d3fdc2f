#pragma once

#include <linformer/core/uniform_below.hpp>
#include <linformer/text.hpp>

#include "any_tokenizer.hpp"
#include "classifier_scores.hpp"

#include <cstdio>
#include <optional>
#include <string>
#include <vector>

// Texts and labels for a classifier, from tables and folders.

/// Which columns of a table hold what, and what its labels are called.
struct LabelledTextOptions {
  std::string text = "sentence", second, label = "label";
  std::vector<std::string> labels;  ///< names; empty: the column holds numbers
  bool token_types = false;         ///< whether the model tells the texts of a pair apart by the types of their tokens
  bool multi_label = false;         ///< whether the column holds any number of them, with | or , between
};

/// Rising classes that a field of several labels states. @return nothing if a part of it is none
inline std::optional<std::vector<std::int32_t>> parse_labels(std::string_view field,
                                                             const linformer::ExampleConfig& config) {
  std::vector<std::int32_t> classes;
  for (std::size_t begin = 0; begin < field.size();) {
    const std::size_t end = std::min(field.find_first_of("|,", begin), field.size());
    std::string_view part = field.substr(begin, end - begin);
    part.remove_prefix(std::min(part.find_first_not_of(' '), part.size()));
    part = part.substr(0, part.find_last_not_of(' ') + 1);
    begin = end + 1;
    const auto label = linformer::detail::parse_label(part, config);
    if (!label) return std::nullopt;
    classes.push_back(*label);
  }
  std::sort(classes.begin(), classes.end());
  classes.erase(std::unique(classes.begin(), classes.end()), classes.end());
  return classes;
}

/// The rows of a table, each with any number of classes: as `read_examples`, which knows one.
inline linformer::Dataset read_multi_label(const std::string& path, const linformer::ExampleConfig& config,
                                           std::vector<std::vector<std::int32_t>>& label_lists) {
  const bool csv = std::filesystem::path(path).extension() == ".csv";
  linformer::TableReader reader(path, {.format = csv ? linformer::TableFormat::csv : linformer::TableFormat::tsv,
                                       .on_malformed = config.on_malformed});
  const std::size_t first = reader.column(config.first), label = reader.column(config.label);
  const std::size_t second = config.second.empty() ? first : reader.column(config.second);
  linformer::Dataset data;
  for (linformer::TableRow row; reader.next(row);) {
    auto classes = parse_labels(row.fields[label], config);
    if (!classes) {
      reader.reject_last(row, "any number of: " + linformer::detail::label_description(config),
                         "'" + row.fields[label] + "'");
      continue;
    }
    label_lists.push_back(std::move(*classes));
    data.examples.push_back({.first = row.fields[first], .second = row.fields[second]});
  }
  data.report = reader.report();
  return data;
}

/// Whether a path is a split of the Large Movie Review Dataset.
inline bool is_imdb_split(const std::string& path) {
  return std::filesystem::is_directory(std::filesystem::path(path) / "pos") &&
         std::filesystem::is_directory(std::filesystem::path(path) / "neg");
}

/// Appends the rows of a TSV or CSV table, or of an IMDB split's folder, and tells how many. What is malformed is left
/// out and told.
/// @param length most tokens of a row @param classes 0: as many as the labels say
/// @throws linformer::Error file_access; malformed_input without the columns, or where no row is left
inline void read_labelled(const std::string& path, const LabelledTextOptions& options, const AnyTokenizer& tokenizer,
                          linformer::Index length, linformer::Index classes, LabelledSequences& samples) {
  linformer::Dataset data;
  if (is_imdb_split(path)) {
    linformer::detail::require(options.second.empty() && !options.multi_label,
                               linformer::ErrorCode::invalid_configuration, path, "one text a row, and one label",
                               options.multi_label ? "several labels" : "a column of second texts");
    data = linformer::read_imdb(path, linformer::OnMalformed::skip);
  } else {
    linformer::detail::require(!std::filesystem::is_directory(path), linformer::ErrorCode::malformed_input, path,
                               "a table, or a folder with pos/ and neg/", "another folder");
    const linformer::ExampleConfig config{.first = options.text,
                                          .second = options.second,
                                          .label = options.label,
                                          .label_names = options.labels,
                                          .classes = static_cast<int>(classes),
                                          .on_malformed = linformer::OnMalformed::skip};
    data = options.multi_label ? read_multi_label(path, config, samples.label_lists)
                               : linformer::read_examples(path, config);
  }
  linformer::Index cut = 0;
  for (const linformer::Example& example : data.examples) {
    linformer::EncodedText encoded =
        options.second.empty() ? linformer::encode_text(tokenizer, example.first, {.length = length})
                               : linformer::encode_pair(tokenizer, example.first, example.second, {.length = length});
    cut += encoded.dropped() > 0 ? 1 : 0;
    if (options.token_types && !options.second.empty()) samples.second_begins.push_back(encoded.second_begins);
    samples.sequences.push_back(std::move(encoded.sequences.front()));
    if (!options.multi_label) samples.labels.push_back(example.label);
  }
  std::printf("%s: %zu rows, %td of them cut to %td tokens, %td malformed and left out\n", path.c_str(),
              data.examples.size(), cut, length, data.report.malformed);
  for (const auto& what : data.report.first) {
    std::printf("  %s:%td: expected %s, got %s\n", what.file.c_str(), what.line, what.expected.c_str(),
                what.actual.c_str());
  }
  linformer::detail::require(!data.examples.empty(), linformer::ErrorCode::malformed_input, path,
                             "a row to learn from or to judge by", "none");
}

/// Moves a share of the rows to a set of their own. Each row's draw has its number for an address, so that rows added
/// at the end move no other. @throws linformer::Error malformed_input if either set is then empty
inline LabelledSequences hold_out(LabelledSequences& samples, double share, std::uint64_t seed) {
  const linformer::RandomStream draws = linformer::RandomStream(seed).derive("validation share");
  const auto threshold = static_cast<std::uint64_t>(share * 4294967296.0);
  LabelledSequences kept, held;
  for (std::size_t i = 0; i < samples.sequences.size(); ++i) {
    samples.move_to(i, draws.words(i)[0] < threshold ? held : kept);
  }
  std::printf("%td rows to learn from, %td to judge by\n", kept.size(), held.size());
  linformer::detail::require(kept.size() > 0 && held.size() > 0, linformer::ErrorCode::malformed_input,
                             "validation share", "rows on either side",
                             std::to_string(kept.size()) + " and " + std::to_string(held.size()));
  samples = std::move(kept);
  return held;
}

/// Weights of the classes: numbers as they are told, or "balanced": rows / (classes · rows of the class); of labels
/// that do not exclude each other rows without / rows with the label.
/// @throws linformer::Error invalid_configuration
inline std::vector<float> class_weights(const std::vector<std::string>& told, const LabelledSequences& samples,
                                        std::size_t classes) {
  std::vector<float> weights;
  if (told.empty()) return weights;
  const auto fail = [](const std::string& expected, const std::string& actual) {
    throw linformer::Error(linformer::ErrorCode::invalid_configuration, "class weights", expected, actual);
  };
  if (told.size() == 1 && told.front() == "balanced") {
    std::vector<linformer::Index> rows(classes, 0);
    for (const std::int32_t label : samples.labels) ++rows[static_cast<std::size_t>(label)];
    for (const auto& list : samples.label_lists) {
      for (const std::int32_t label : list) ++rows[static_cast<std::size_t>(label)];
    }
    for (std::size_t c = 0; c < classes; ++c) {
      if (rows[c] == 0) fail("a row of every class to balance by", "none of class " + std::to_string(c));
      const auto with = static_cast<double>(rows[c]), all = static_cast<double>(samples.size());
      weights.push_back(static_cast<float>(samples.multi_label() ? (all - with) / with
                                                                 : all / (static_cast<double>(classes) * with)));
    }
    return weights;
  }
  if (told.size() != classes) {
    fail("'balanced' or " + std::to_string(classes) + " numbers", std::to_string(told.size()));
  }
  for (const std::string& each : told) {
    char* end = nullptr;
    const float weight = std::strtof(each.c_str(), &end);
    if (end != each.c_str() + each.size() || !std::isfinite(weight) || weight < 0) {
      fail("'balanced' or numbers of at least 0", each);
    }
    weights.push_back(weight);
  }
  return weights;
}
