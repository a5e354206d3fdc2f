#pragma once

#include <linformer/core/matrix.hpp>

#include <algorithm>

namespace linformer::inline LINFORMER_ABI {

namespace detail {

/// How a range of rows is shared out among tasks, by its length alone: in an even number of parts of about the same
/// size, the longer first, so that two threads end together; whole vectors but for the last.
class EvenParts {
 public:
  /// @param most rows of a part: a multiple of `vector`, at least two
  constexpr EvenParts(Index rows, Index most)
      : rows_(rows), vectors_(whole_vectors(rows) / vector), count_((rows + most - 1) / most) {
    if (count_ > 1) count_ += count_ % 2;
  }

  [[nodiscard]] constexpr Index count() const { return count_; }
  [[nodiscard]] constexpr Index first(Index part) const {
    return std::min(rows_, (part * (vectors_ / count_) + std::min(part, vectors_ % count_)) * vector);
  }
  [[nodiscard]] constexpr Index rows(Index part) const { return first(part + 1) - first(part); }

  static constexpr Index vector = 16;  ///< floats of the widest instruction set's
  /// The next multiple of it.
  [[nodiscard]] static constexpr Index whole_vectors(Index rows) { return (rows + vector - 1) / vector * vector; }

 private:
  Index rows_, vectors_, count_;
};

}  // namespace detail

}  // namespace linformer::inline LINFORMER_ABI
