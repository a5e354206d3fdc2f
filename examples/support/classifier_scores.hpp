#pragma once

#include <linformer/io.hpp>
#include <linformer/model/config_json.hpp>
#include <linformer/model/sequence_classifier.hpp>
#include <linformer/train/classification_scores.hpp>

#include "model_folder.hpp"
#include "processes.hpp"

#include <algorithm>
#include <cstdio>
#include <optional>
#include <string>
#include <vector>

// Samples of a classifier, and how good it is on them.

/// Sequences of tokens and their classes: one each, or, where labels do not exclude each other, any number.
struct LabelledSequences {
  std::vector<std::vector<linformer::TokenId>> sequences;
  std::vector<linformer::Index> second_begins;         ///< one a sequence of pairs whose texts a model tells apart
  std::vector<std::int32_t> labels;                    ///< one a sequence, or
  std::vector<std::vector<std::int32_t>> label_lists;  ///< rising, a list a sequence

  [[nodiscard]] linformer::Index size() const { return static_cast<linformer::Index>(sequences.size()); }
  [[nodiscard]] bool multi_label() const { return labels.size() != sequences.size(); }
  [[nodiscard]] std::string fingerprint() const {
    std::vector<std::int32_t> all = labels;
    for (const auto& list : label_lists) {
      all.insert(all.end(), list.begin(), list.end());
      all.push_back(-1);
    }
    for (const linformer::Index begin : second_begins) all.push_back(static_cast<std::int32_t>(begin));
    return fingerprint_of(sequences, all);
  }

  /// Moves a sequence with its labels to the end of others.
  void move_to(std::size_t i, LabelledSequences& others) {
    others.sequences.push_back(std::move(sequences[i]));
    if (!second_begins.empty()) others.second_begins.push_back(second_begins[i]);
    if (multi_label()) {
      others.label_lists.push_back(std::move(label_lists[i]));
    } else {
      others.labels.push_back(labels[i]);
    }
  }

  /// Tokens of some of them together.
  [[nodiscard]] linformer::Index tokens(std::span<const linformer::Index> samples) const {
    return tokens_of(sequences, samples);
  }

  /// Some of them as a batch.
  struct Batch {
    linformer::TokenBatch tokens;
    std::vector<std::int32_t> labels;
    std::vector<std::vector<std::int32_t>> label_lists;

    /// Sequences × classes: 1 where a label holds.
    [[nodiscard]] std::vector<std::uint8_t> targets(linformer::Index classes) const {
      std::vector<std::uint8_t> result(label_lists.size() * static_cast<std::size_t>(classes), 0);
      for (std::size_t row = 0; row < label_lists.size(); ++row) {
        for (const std::int32_t label : label_lists[row]) {
          result[row * static_cast<std::size_t>(classes) + static_cast<std::size_t>(label)] = 1;
        }
      }
      return result;
    }
  };
  [[nodiscard]] Batch batch(std::span<const linformer::Index> samples) const {
    std::vector<std::vector<linformer::TokenId>> chosen;
    std::vector<linformer::Index> begins;
    Batch result;
    for (const linformer::Index sample : samples) {
      const auto i = static_cast<std::size_t>(sample);
      chosen.push_back(sequences[i]);
      if (!second_begins.empty()) begins.push_back(second_begins[i]);
      if (multi_label()) {
        result.label_lists.push_back(label_lists[i]);
      } else {
        result.labels.push_back(labels[i]);
      }
    }
    result.tokens = linformer::TokenBatch::from_sequences(chosen, begins);
    return result;
  }
};

/// How good a classifier is on some samples.
struct ClassifierScores {
  std::vector<linformer::ClassCounts> counts;           ///< of each class
  std::optional<linformer::ConfusionMatrix> confusion;  ///< where labels exclude each other
  linformer::Index rows = 0, right = 0;                 ///< right: rows of which every label is told
  double loss = 0;

  [[nodiscard]] double accuracy() const {
    return static_cast<double>(right) / static_cast<double>(std::max(rows, linformer::Index{1}));
  }
  [[nodiscard]] double macro_f1() const { return linformer::macro_f1(counts); }
  [[nodiscard]] double micro_f1() const { return linformer::micro_f1(counts); }

  /// The confusion matrix, a row for each actual class; null where there is none.
  [[nodiscard]] nlohmann::ordered_json confusion_json() const {
    if (!confusion) return nullptr;
    auto table = nlohmann::ordered_json::array();
    for (linformer::Index actual = 0; actual < confusion->classes(); ++actual) {
      auto row = nlohmann::ordered_json::array();
      for (linformer::Index predicted = 0; predicted < confusion->classes(); ++predicted) {
        row.push_back((*confusion)(actual, predicted));
      }
      table.push_back(row);
    }
    return table;
  }

  [[nodiscard]] nlohmann::ordered_json to_json(const std::vector<std::string>& names) const {
    nlohmann::ordered_json json = {
        {"accuracy", accuracy()}, {"macro_f1", macro_f1()}, {"micro_f1", micro_f1()}, {"loss", loss}, {"rows", rows}};
    for (std::size_t c = 0; c < counts.size(); ++c) {
      json["classes"].push_back({{"label", names[c]},
                                 {"precision", counts[c].precision()},
                                 {"recall", counts[c].recall()},
                                 {"f1", counts[c].f1()},
                                 {"rows", counts[c].actual}});
    }
    if (confusion) json["confusion"] = confusion_json();
    return json;
  }

  /// A table of the classes, and of which was taken for which.
  void print(const std::vector<std::string>& names) const {
    const auto cut = [](const std::string& name) { return name.substr(0, 20); };
    std::printf("\n%20s  %9s  %9s  %9s  %9s\n", "class", "precision", "recall", "F1", "rows");
    for (std::size_t c = 0; c < counts.size(); ++c) {
      std::printf("%20s  %9.4f  %9.4f  %9.4f  %9td\n", cut(names[c]).c_str(), counts[c].precision(), counts[c].recall(),
                  counts[c].f1(), counts[c].actual);
    }
    std::printf("accuracy %.4f, macro-F1 %.4f, micro-F1 %.4f, loss %.4f over %td rows\n\n", accuracy(), macro_f1(),
                micro_f1(), loss, rows);
    if (!confusion) return;
    std::printf("rows are actual, columns predicted\n%20s", "");
    for (const std::string& name : names) std::printf(" %9.9s", name.c_str());
    for (linformer::Index actual = 0; actual < confusion->classes(); ++actual) {
      std::printf("\n%20s", cut(names[static_cast<std::size_t>(actual)]).c_str());
      for (linformer::Index predicted = 0; predicted < confusion->classes(); ++predicted) {
        std::printf(" %9td", (*confusion)(actual, predicted));
      }
    }
    std::printf("\n\n");
  }
};

/// Of all samples, in batches of `batch`, which the processes share out.
ClassifierScores score(const linformer::SequenceClassifier<float>& model, const LabelledSequences& samples,
                       linformer::Index batch, const linformer::Execution& execution, ProgramWorld world);
