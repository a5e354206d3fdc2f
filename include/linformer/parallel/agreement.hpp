#pragma once

#include <linformer/core/error.hpp>
#include <linformer/parallel/world.hpp>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace linformer::inline LINFORMER_ABI {

/// Every process has the same of something, of which each tells a fingerprint. Collective.
/// @param what names it in the error
/// @throws Error ranks_disagree in every process, naming those that have something else than rank 0
template <World W>
void require_agreement(W& world, std::string_view what, std::uint64_t fingerprint) {
  // A double holds 32 bits of it exactly.
  std::vector<double> high(static_cast<std::size_t>(world.size())), low(high.size());
  high[static_cast<std::size_t>(world.rank())] = static_cast<double>(fingerprint >> 32U);
  low[static_cast<std::size_t>(world.rank())] = static_cast<double>(fingerprint & 0xFFFFFFFF);
  world.all_gather(std::span(high));
  world.all_gather(std::span(low));
  std::string others;
  for (std::size_t rank = 1; rank < high.size(); ++rank) {
    if (high[rank] == high[0] && low[rank] == low[0]) continue;
    others += (others.empty() ? "" : ", ") + std::to_string(rank);
  }
  detail::require(
      others.empty(), ErrorCode::ranks_disagree, what,
      [&] { return "the same in all " + std::to_string(world.size()) + " processes"; },
      [&] { return "another than rank 0's in rank " + others; });
}

}  // namespace linformer::inline LINFORMER_ABI
