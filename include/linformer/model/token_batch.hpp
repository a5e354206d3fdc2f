#pragma once

#include <linformer/core/batch.hpp>

#include <cstdint>
#include <span>
#include <vector>

namespace linformer::inline LINFORMER_ABI {

/// Token ids of a ragged batch: those of present tokens, sequence after sequence.
struct TokenBatch {
  BatchLayout layout;
  std::vector<std::int32_t> ids;  ///< layout.rows() of them

  [[nodiscard]] static TokenBatch from_sequences(std::span<const std::vector<std::int32_t>> sequences) {
    TokenBatch batch;
    std::vector<Index> lengths;
    for (const auto& sequence : sequences) {
      lengths.push_back(static_cast<Index>(sequence.size()));
      batch.ids.insert(batch.ids.end(), sequence.begin(), sequence.end());
    }
    batch.layout = BatchLayout::from_lengths(lengths);
    return batch;
  }
};

}  // namespace linformer::inline LINFORMER_ABI
