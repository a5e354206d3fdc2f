#pragma once

#include <linformer/core/row_selection.hpp>
#include <linformer/nn/dropout.hpp>
#include <linformer/nn/linear_product.hpp>
#include <linformer/parallel/world_view.hpp>

#include <algorithm>
#include <cstdint>
#include <functional>
#include <optional>

namespace linformer::inline LINFORMER_ABI {

/// What a call of an encoder may ask for. All fields may be left out.
struct EncoderOptions {
  std::optional<DropoutAddress> dropout{};  ///< a training call: its seed, step and first sample
  bool recompute = false;  ///< in training: keep the input of each layer alone and compute the rest anew in backward
  /// In inference: the rows of the output that are wanted, of the tokens' layout; null for all. The last layer is
  /// computed for these alone.
  const RowSelection* read = nullptr;
  /// Processes that hold the other tokens of the same sequences, each token once (`TokenBatch::part`), and make the
  /// same call; none means that all are here. A layer asks them for one sum of k·(D + 2) values a sequence forward and
  /// one of k·(D + 1) backward where E = F, however long the sequences are; recomputing, for one more.
  WorldView sequence{};
  /// In backward, where there is one: called as on_layer_done(l) for each layer from the last to the first, once the
  /// call adds nothing any more to the gradients that `for_each_completed_parameter` tells of it.
  std::function<void(std::size_t layer)> on_layer_done{};
};

/// What one call of an encoder computes with: rows of a ragged batch, and in training the address of its draws.
struct EncoderCall {
  const BatchLayout& layout;
  std::optional<DropoutAddress> dropout{};  ///< set in training; its site is that of the encoder's first draw
  WorldView sequence{};                     ///< processes that hold the other tokens
};

namespace detail {

/// Draws that a layer takes beside those of P̄.
enum class DropoutSite : std::uint64_t { attention_weights, attention_output, feed_forward_output, count };

/// Drops entries of neighbouring rows of a batch, on the calling thread. @param first the first of them
template <Scalar T>
void drop_rows(const std::optional<DropoutAddress>& draws, const BatchLayout& layout, std::uint64_t site, double rate,
               Index first, MatrixRef<T> rows, Isa isa) {
  if (!draws || rate == 0) return;
  DropoutAddress address = *draws;
  address.site += site;
  const Index end = first + rows.rows();
  for (Index row = first, b = layout.sequence_of(first); row < end; ++b) {
    const Index count = std::min(end, layout.offset(b + 1)) - row;
    HeadDropout<T>(address, static_cast<std::uint64_t>(b), 0, rate)
        .apply_to_rows(isa, layout.positions(b).slice(row - layout.offset(b), count),
                       rows.middleRows(row - first, count));
    row += count;
  }
}

/// The same of all rows. Backward of dropout is the same with the same address.
template <Scalar T>
void apply_dropout(const EncoderCall& call, std::uint64_t site, double rate, MatrixRef<T> rows,
                   const Execution& execution) {
  for_each_part(rows.rows(), linear_tile, execution, [&](Index first, Index count, const Compute& compute) {
    drop_rows<T>(call.dropout, call.layout, site, rate, first, rows.middleRows(first, count), compute.isa);
  });
}

}  // namespace detail

}  // namespace linformer::inline LINFORMER_ABI
