#pragma once

#include <linformer/core/batch.hpp>

#include <algorithm>
#include <cstdint>
#include <span>
#include <vector>

namespace linformer::inline LINFORMER_ABI {

/// Token ids of a ragged batch: those of present tokens, sequence after sequence.
struct TokenBatch {
  BatchLayout layout;
  std::vector<std::int32_t> ids;      ///< layout.rows() of them
  std::vector<std::int32_t> types{};  ///< of tokens, as many, such as first or second text; none means all 0

  /// Of the token in that row.
  [[nodiscard]] Index type(Index row) const { return types.empty() ? 0 : types[static_cast<std::size_t>(row)]; }

  /// @param token_types 0 for a model without, which takes no other type than 0
  /// @throws Error shape_mismatch, out_of_range or sequence_too_long
  void require_valid(Index vocabulary, Index sequence_length, Index token_types = 0) const {
    detail::require(
        static_cast<Index>(ids.size()) == layout.rows(), ErrorCode::shape_mismatch, "token ids",
        [&] { return std::to_string(layout.rows()); }, [&] { return std::to_string(ids.size()); });
    for (const std::int32_t id : ids) {
      detail::require(
          id >= 0 && id < vocabulary, ErrorCode::out_of_range, "token ids",
          [&] { return "ids from 0 to " + std::to_string(vocabulary - 1); }, [&] { return std::to_string(id); });
    }
    detail::require(
        types.empty() || types.size() == ids.size(), ErrorCode::shape_mismatch, "token types",
        [&] { return std::to_string(ids.size()) + ", or none"; }, [&] { return std::to_string(types.size()); });
    for (const std::int32_t type : types) {
      detail::require(
          type >= 0 && type < std::max(token_types, Index{1}), ErrorCode::out_of_range, "token types",
          [&] { return "types from 0 to " + std::to_string(std::max(token_types, Index{1}) - 1); },
          [&] { return std::to_string(type); });
    }
    for (Index b = 0; b < layout.sequences(); ++b) {
      const Index extent = layout.positions(b).extent();
      detail::require(
          extent <= sequence_length, ErrorCode::sequence_too_long, "tokens",
          [&] { return "at most sequence_length = " + std::to_string(sequence_length) + " tokens"; },
          [&] { return std::to_string(extent); });
    }
  }

  /// Those tokens of each sequence that stand at the positions begin … end − 1, which they keep: what one of several
  /// processes holds.
  [[nodiscard]] TokenBatch part(Index begin, Index end) const {
    TokenBatch result;
    result.layout = layout.part(begin, end);
    for (Index b = 0; b < layout.sequences(); ++b) {
      const auto [first, count] = layout.rows_of_part(b, begin, end);
      result.ids.insert(result.ids.end(), ids.begin() + first, ids.begin() + first + count);
      if (!types.empty()) result.types.insert(result.types.end(), types.begin() + first, types.begin() + first + count);
    }
    return result;
  }

  /// @param second_begins for each sequence from which of its tokens on they have type 1, 0 for none of them, see
  ///   `EncodedText`; empty: all have type 0 @throws Error shape_mismatch for another number of them than of sequences
  [[nodiscard]] static TokenBatch from_sequences(std::span<const std::vector<std::int32_t>> sequences,
                                                 std::span<const Index> second_begins = {}) {
    const bool typed = !second_begins.empty();
    detail::require(
        !typed || second_begins.size() == sequences.size(), ErrorCode::shape_mismatch, "token types",
        [&] { return std::to_string(sequences.size()) + " sequences"; },
        [&] { return std::to_string(second_begins.size()); });
    TokenBatch batch;
    std::vector<Index> lengths;
    for (std::size_t i = 0; i < sequences.size(); ++i) {
      const auto length = static_cast<Index>(sequences[i].size());
      lengths.push_back(length);
      batch.ids.insert(batch.ids.end(), sequences[i].begin(), sequences[i].end());
      for (Index j = 0; typed && j < length; ++j) {
        batch.types.push_back(second_begins[i] > 0 && j >= second_begins[i] ? 1 : 0);
      }
    }
    batch.layout = BatchLayout::from_lengths(lengths);
    return batch;
  }
};

}  // namespace linformer::inline LINFORMER_ABI
