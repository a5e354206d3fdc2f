#pragma once

#include <linformer/core/error.hpp>

#include <limits>

namespace linformer::inline LINFORMER_ABI {

/// When to stop: once `patience` evaluations in a row have brought nothing better. A plain value; saved and read back
/// whole, it goes on where it was.
struct EarlyStopping {
  Index patience = 3;             ///< evaluations without improvement to bear; 0 for never stopping
  double min_delta = 0;           ///< by how much a value must be better, at least 0
  bool larger_is_better = false;  ///< true for an accuracy, false for a loss

  double best = std::numeric_limits<double>::quiet_NaN();  ///< best value so far, NaN before the first
  Index evaluations = 0;                                   ///< values told so far
  Index best_evaluation = -1;                              ///< which of them was the best, from 0; −1 for none
  Index without_improvement = 0;                           ///< evaluations since the best

  /// Takes up a value and tells whether it is the best. The first number is; NaN never is.
  bool update(double value) {
    const bool first = best_evaluation < 0 && value == value;
    const bool better = larger_is_better ? value > best + min_delta : value < best - min_delta;
    if (first || better) {
      best = value;
      best_evaluation = evaluations;
      without_improvement = 0;
    } else {
      ++without_improvement;
    }
    ++evaluations;
    return first || better;
  }

  [[nodiscard]] bool should_stop() const noexcept { return patience > 0 && without_improvement >= patience; }
};

}  // namespace linformer::inline LINFORMER_ABI
