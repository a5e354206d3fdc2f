#pragma once

#include <linformer/core/matrix.hpp>

#include <optional>

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

namespace detail {

/// The part, or all of 0 … count − 1 where there is none.
/// @throws Error invalid_configuration unless 0 ≤ begin ≤ end ≤ count
inline Part part_or_all(std::string_view field, const std::optional<Part>& given, Index count) {
  const Part part = given.value_or(Part{0, count});
  require(
      0 <= part.begin && part.begin <= part.end && part.end <= count, ErrorCode::invalid_configuration, field,
      [&] { return "a part of " + range_text(0, count); },
      [&] { return std::to_string(part.begin) + " to " + std::to_string(part.end - 1); });
  return part;
}

}  // namespace detail

}  // namespace linformer::inline LINFORMER_ABI
