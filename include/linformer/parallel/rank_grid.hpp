#pragma once

#include <linformer/parallel/world.hpp>

#include <utility>

namespace linformer::inline LINFORMER_ABI {

/// Processes in a grid that share out both a batch and its sequences: each row of the grid works on sequences of its
/// own, of which each column holds another part.
template <World W>
struct RankGrid {
  W all;
  W sequence;   ///< those of this row: they hold the other parts of the same sequences
  W same_part;  ///< those of this column: they hold the same part of other sequences
};

/// Neighbouring ranks share sequences. Called by every process of the world.
/// @param ranks_of_sequence that share a sequence. @throws Error invalid_configuration unless it divides their number
template <World W>
[[nodiscard]] RankGrid<W> make_rank_grid(W all, Index ranks_of_sequence) {
  detail::require(
      ranks_of_sequence >= 1 && all.size() % ranks_of_sequence == 0, ErrorCode::invalid_configuration,
      "ranks of a sequence", [&] { return "a divisor of the " + std::to_string(all.size()) + " processes"; },
      [&] { return std::to_string(ranks_of_sequence); });
  const Index rank = all.rank();
  W sequence = all.split(rank / ranks_of_sequence, rank);
  W same_part = all.split(rank % ranks_of_sequence, rank);
  return {std::move(all), std::move(sequence), std::move(same_part)};
}

}  // namespace linformer::inline LINFORMER_ABI
