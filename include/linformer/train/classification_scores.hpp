#pragma once

#include <linformer/core/error.hpp>

#include <algorithm>
#include <cstdint>
#include <span>
#include <vector>

namespace linformer::inline LINFORMER_ABI {

/// What was said about one class, and the usual scores of it. A quotient of nothing is 0, as scikit-learn's with
/// zero_division=0.
struct ClassCounts {
  Index actual = 0;     ///< rows of the class
  Index predicted = 0;  ///< rows that were taken for the class
  Index hits = 0;       ///< rows that are both

  ClassCounts& operator+=(const ClassCounts& other) noexcept {
    actual += other.actual;
    predicted += other.predicted;
    hits += other.hits;
    return *this;
  }
  friend bool operator==(const ClassCounts&, const ClassCounts&) = default;

  [[nodiscard]] double precision() const noexcept { return share(hits, predicted); }
  [[nodiscard]] double recall() const noexcept { return share(hits, actual); }
  /// Harmonic mean of precision and recall.
  [[nodiscard]] double f1() const noexcept { return share(2 * hits, actual + predicted); }

 private:
  static double share(Index part, Index whole) noexcept {
    return whole == 0 ? 0 : static_cast<double>(part) / static_cast<double>(whole);
  }
};

/// Mean of the F1 of all classes, those without a row included; 0 of no class.
[[nodiscard]] inline double macro_f1(std::span<const ClassCounts> classes) {
  double sum = 0;
  for (const ClassCounts& each : classes) sum += each.f1();
  return classes.empty() ? 0 : sum / static_cast<double>(classes.size());
}

/// F1 of the counts of all classes together: where labels do not exclude each other. Where they do, it is the accuracy.
[[nodiscard]] inline double micro_f1(std::span<const ClassCounts> classes) {
  ClassCounts sum;
  for (const ClassCounts& each : classes) sum += each;
  return sum.f1();
}

/// How many rows of each class were taken for which.
class ConfusionMatrix {
 public:
  /// Without rows. @throws Error invalid_configuration for no classes
  explicit ConfusionMatrix(Index classes) : classes_(classes) {
    detail::require(classes >= 1, ErrorCode::invalid_configuration, "classes", "at least 1", std::to_string(classes));
    counts_.assign(static_cast<std::size_t>(detail::checked_size("confusion matrix", {classes, classes})), 0);
  }

  [[nodiscard]] Index classes() const noexcept { return classes_; }

  /// Counts rows. @throws Error out_of_range for what is no class
  void add(std::int32_t actual, std::int32_t predicted, Index rows = 1) { counts_[place(actual, predicted)] += rows; }

  /// Rows of a class that were taken for a class. @throws Error out_of_range
  [[nodiscard]] Index operator()(Index actual, Index predicted) const { return counts_[place(actual, predicted)]; }

  /// All rows.
  [[nodiscard]] Index rows() const {
    Index sum = 0;
    for (const Index count : counts_) sum += count;
    return sum;
  }

  /// Share of the rows that were taken for what they are; 0 of no rows.
  [[nodiscard]] double accuracy() const {
    Index hits = 0;
    for (Index c = 0; c < classes_; ++c) hits += (*this)(c, c);
    return static_cast<double>(hits) / static_cast<double>(std::max(rows(), Index{1}));
  }

  /// Counts of each class.
  [[nodiscard]] std::vector<ClassCounts> counts() const {
    std::vector<ClassCounts> result(static_cast<std::size_t>(classes_));
    for (Index c = 0; c < classes_; ++c) {
      ClassCounts& its = result[static_cast<std::size_t>(c)];
      for (Index other = 0; other < classes_; ++other) {
        its.actual += (*this)(c, other);
        its.predicted += (*this)(other, c);
      }
      its.hits = (*this)(c, c);
    }
    return result;
  }

 private:
  [[nodiscard]] std::size_t place(Index actual, Index predicted) const {
    const auto check = [&](const char* what, Index value) {
      detail::require(
          value >= 0 && value < classes_, ErrorCode::out_of_range, what,
          [&] { return "0 to " + std::to_string(classes_ - 1); }, [&] { return std::to_string(value); });
    };
    check("actual class", actual);
    check("predicted class", predicted);
    return static_cast<std::size_t>(actual * classes_ + predicted);
  }

  Index classes_;
  std::vector<Index> counts_;  ///< a row for each actual class
};

}  // namespace linformer::inline LINFORMER_ABI
