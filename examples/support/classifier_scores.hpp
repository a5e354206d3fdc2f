#pragma once

#include <linformer/io.hpp>
#include <linformer/model/config_json.hpp>
#include <linformer/model/sequence_classifier.hpp>
#include <linformer/train/classification_scores.hpp>
#include <linformer/train/cross_entropy.hpp>
#include <linformer/train/sample_order.hpp>

#include "model_folder.hpp"

#include <cstdio>
#include <string>
#include <vector>

// Samples of a classifier, and how good it is on them.

/// Sequences of tokens and their classes.
struct LabelledSequences {
  std::vector<std::vector<linformer::TokenId>> sequences;
  std::vector<std::int32_t> labels;

  [[nodiscard]] linformer::Index size() const { return static_cast<linformer::Index>(labels.size()); }
  [[nodiscard]] std::string fingerprint() const { return fingerprint_of(sequences, labels); }

  /// Some of them as a batch.
  struct Batch {
    linformer::TokenBatch tokens;
    std::vector<std::int32_t> labels;
  };
  [[nodiscard]] Batch batch(std::span<const linformer::Index> samples) const {
    std::vector<std::vector<linformer::TokenId>> chosen;
    Batch result;
    for (const linformer::Index sample : samples) {
      chosen.push_back(sequences[static_cast<std::size_t>(sample)]);
      result.labels.push_back(labels[static_cast<std::size_t>(sample)]);
    }
    result.tokens = linformer::TokenBatch::from_sequences(chosen);
    return result;
  }
};

/// How good a classifier is on some samples.
struct ClassifierScores {
  linformer::ConfusionMatrix confusion;
  double loss = 0;

  [[nodiscard]] double accuracy() const { return confusion.accuracy(); }
  [[nodiscard]] double macro_f1() const { return linformer::macro_f1(confusion.counts()); }
  [[nodiscard]] nlohmann::ordered_json confusion_json() const {
    auto table = nlohmann::ordered_json::array();
    for (linformer::Index actual = 0; actual < confusion.classes(); ++actual) {
      auto row = nlohmann::ordered_json::array();
      for (linformer::Index predicted = 0; predicted < confusion.classes(); ++predicted) {
        row.push_back(confusion(actual, predicted));
      }
      table.push_back(row);
    }
    return table;
  }

  [[nodiscard]] nlohmann::ordered_json to_json(const std::vector<std::string>& names) const {
    nlohmann::ordered_json json = {{"accuracy", accuracy()}, {"macro_f1", macro_f1()}, {"loss", loss}};
    json["rows"] = confusion.rows();
    const auto counts = confusion.counts();
    for (std::size_t c = 0; c < counts.size(); ++c) {
      json["classes"].push_back({{"label", names[c]},
                                 {"precision", counts[c].precision()},
                                 {"recall", counts[c].recall()},
                                 {"f1", counts[c].f1()},
                                 {"rows", counts[c].actual}});
    }
    json["confusion"] = confusion_json();
    return json;
  }

  /// A table of the classes, and of which was taken for which.
  void print(const std::vector<std::string>& names) const {
    const auto cut = [](const std::string& name) { return name.substr(0, 20); };
    std::printf("\n%20s  %9s  %9s  %9s  %9s\n", "class", "precision", "recall", "F1", "rows");
    const auto counts = confusion.counts();
    for (std::size_t c = 0; c < counts.size(); ++c) {
      std::printf("%20s  %9.4f  %9.4f  %9.4f  %9td\n", cut(names[c]).c_str(), counts[c].precision(), counts[c].recall(),
                  counts[c].f1(), counts[c].actual);
    }
    std::printf("accuracy %.4f, macro-F1 %.4f, loss %.4f over %td rows\n\nrows are actual, columns predicted\n%20s",
                accuracy(), macro_f1(), loss, confusion.rows(), "");
    for (const std::string& name : names) std::printf(" %9.9s", name.c_str());
    for (linformer::Index actual = 0; actual < confusion.classes(); ++actual) {
      std::printf("\n%20s", cut(names[static_cast<std::size_t>(actual)]).c_str());
      for (linformer::Index predicted = 0; predicted < confusion.classes(); ++predicted) {
        std::printf(" %9td", confusion(actual, predicted));
      }
    }
    std::printf("\n\n");
  }
};

inline ClassifierScores score(const linformer::SequenceClassifier<float>& model, const LabelledSequences& samples,
                              linformer::Index batch, const linformer::Execution& execution) {
  ClassifierScores scores{linformer::ConfusionMatrix(model.classes())};
  linformer::SampleOrder order(0, lengths_of(samples.sequences),
                               {.samples = batch, .window = 1 << 20, .shuffle = false});
  linformer::LossSum loss;
  for (linformer::Index i = 0; i < order.epoch(0).batches(); ++i) {
    const LabelledSequences::Batch its = samples.batch(order.batch(0, i));
    const linformer::Matrix<float> logits = model.forward(its.tokens, {}, nullptr, execution);
    loss += linformer::cross_entropy<float>(logits, its.labels);
    for (linformer::Index row = 0; row < logits.rows(); ++row) {
      linformer::Index predicted = 0;
      logits.row(row).maxCoeff(&predicted);
      scores.confusion.add(its.labels[static_cast<std::size_t>(row)], static_cast<std::int32_t>(predicted));
    }
  }
  scores.loss = loss.mean();
  return scores;
}
