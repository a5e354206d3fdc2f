#pragma once

#include <linformer/core/matrix.hpp>

namespace linformer::inline LINFORMER_ABI {

/// A run of consecutive numbers, `end` not among them.
struct Part {
  Index begin = 0, end = 0;

  [[nodiscard]] constexpr Index size() const { return end - begin; }
  [[nodiscard]] friend constexpr bool operator==(const Part&, const Part&) = default;
};

/// How 0 … count − 1 are cut among processes, wherever something is: ⌊rank·count/ranks⌋ … ⌊(rank + 1)·count/ranks⌋ − 1.
/// Parts differ by at most one in size, and some are empty where count < ranks.
/// @param count, rank below `ranks`: count·ranks fits an Index
[[nodiscard]] constexpr Part part_of_rank(Index count, Index rank, Index ranks) {
  return {rank * count / ranks, (rank + 1) * count / ranks};
}

}  // namespace linformer::inline LINFORMER_ABI
