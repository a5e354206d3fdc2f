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
};

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
    linformer::detail::require(options.second.empty(), linformer::ErrorCode::invalid_configuration, path,
                               "one text a row", "a column of second texts, '" + options.second + "'");
    data = linformer::read_imdb(path, linformer::OnMalformed::skip);
  } else {
    linformer::detail::require(!std::filesystem::is_directory(path), linformer::ErrorCode::malformed_input, path,
                               "a table, or a folder with pos/ and neg/", "another folder");
    data = linformer::read_examples(path, {.first = options.text,
                                           .second = options.second,
                                           .label = options.label,
                                           .label_names = options.labels,
                                           .classes = static_cast<int>(classes),
                                           .on_malformed = linformer::OnMalformed::skip});
  }
  linformer::Index cut = 0;
  for (const linformer::Example& example : data.examples) {
    linformer::EncodedText encoded =
        options.second.empty() ? linformer::encode_text(tokenizer, example.first, {.length = length})
                               : linformer::encode_pair(tokenizer, example.first, example.second, {.length = length});
    cut += encoded.dropped() > 0 ? 1 : 0;
    samples.sequences.push_back(std::move(encoded.sequences.front()));
    samples.labels.push_back(example.label);
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
  for (std::size_t i = 0; i < samples.labels.size(); ++i) {
    LabelledSequences& to = draws.words(i)[0] < threshold ? held : kept;
    to.sequences.push_back(std::move(samples.sequences[i]));
    to.labels.push_back(samples.labels[i]);
  }
  std::printf("%td rows to learn from, %td to judge by\n", kept.size(), held.size());
  linformer::detail::require(kept.size() > 0 && held.size() > 0, linformer::ErrorCode::malformed_input,
                             "validation share", "rows on either side",
                             std::to_string(kept.size()) + " and " + std::to_string(held.size()));
  samples = std::move(kept);
  return held;
}

/// Weights of the classes: numbers as they are told, or "balanced", rows / (classes · rows of the class).
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
    for (std::size_t c = 0; c < classes; ++c) {
      if (rows[c] == 0) fail("a row of every class to balance by", "none of class " + std::to_string(c));
      weights.push_back(static_cast<float>(static_cast<double>(samples.size()) /
                                           (static_cast<double>(classes) * static_cast<double>(rows[c]))));
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
