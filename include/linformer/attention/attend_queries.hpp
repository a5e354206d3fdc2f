#pragma once

#include <linformer/attention/keys_values.hpp>
#include <linformer/attention/options.hpp>
#include <linformer/attention/weights.hpp>
#include <linformer/kernels/attend_tile.hpp>

#include <span>

namespace linformer::inline LINFORMER_ABI {

/// What a call wants done with P̄ of one sequence.
template <Scalar T>
struct WeightsRequest {
  std::span<Matrix<T>> probabilities{};     ///< one for each head, queries × columns, zeroed; empty if not wanted
  std::optional<DropoutAddress> dropout{};  ///< of this call
  double dropout_rate = 0;
  std::uint64_t sample = 0;  ///< index of the sequence in the call
};

namespace detail {

/// Rows of queries that one task takes: a function of their number alone.
[[nodiscard]] constexpr Index query_tile(Index queries) {
  return std::clamp((queries / 4 + 63) / 64 * 64, Index{256}, Index{512});
}

inline constexpr Index score_rows = 128;  // a tile of scores, 256 KiB in fp32, stays in the second-level cache
inline constexpr Index score_columns = 512;

}  // namespace detail

/// softmax(Q·K̄ᵀ/√d)·V̄·W_Oᵀ + b of the queries of one sequence (Eq. 7), in tiles: neither Q nor P̄ is stored.
/// @param positions of the queries in their sequence
/// @param x queries × D, @param y queries × D
template <Scalar T>
void attend_queries(const AttentionWeights<T>& weights, const KeysValues<T>& context, const Positions& positions,
                    const ConstMatrixRef<T>& x, MatrixRef<T> y, const WeightsRequest<T>& request, ThreadPool& pool,
                    Workspace& workspace) {
  const auto heads = static_cast<Index>(context.heads.size());
  const Index width = weights.query.weight.rows();
  const Index head_width = width / heads;
  const Index tile = detail::query_tile(x.rows());
  workspace.reserve_workers(pool.threads());
  pool.run((x.rows() + tile - 1) / tile, [&](Index task, Index worker) {
    const Index first = task * tile;
    const Index count = std::min(tile, x.rows() - first);
    Workspace& scratch = workspace.worker(worker);
    const Workspace::Scope scope(scratch);
    auto queries = scratch.matrix<T>(count, width);
    auto attended = scratch.matrix<T>(count, width);
    weights.query.apply(x.middleRows(first, count), queries);
    attended.setZero();  // what a head without keys gives
    // Asked for P̄, a row of scores must be whole; otherwise long rows are taken a tile at a time.
    const Index columns =
        request.probabilities.empty() ? std::min(detail::score_columns, context.keys.rows()) : context.keys.rows();
    AttendTile<T> attend(std::min(detail::score_rows, count), columns, scratch);
    for (Index head = 0; head < heads; ++head) {
      const auto& described = context.heads[static_cast<std::size_t>(head)];
      if (described.rows == 0) continue;
      std::optional<HeadDropout<T>> dropout;
      if (request.dropout && request.dropout_rate > 0) {
        dropout.emplace(*request.dropout, request.sample, static_cast<std::uint64_t>(head), request.dropout_rate);
      }
      for (Index row = 0; row < count; row += detail::score_rows) {
        const Index rows = std::min(detail::score_rows, count - row);
        const auto q = queries.block(row, head * head_width, rows, head_width);
        MatrixRef<T> out = attended.block(row, head * head_width, rows, head_width);
        attend.begin(rows);
        for (Index key = 0; key < described.rows; key += columns) {
          const Index keys = std::min(columns, described.rows - key);
          const T* bias = described.score_bias.size() != 0 ? described.score_bias.data() + key : nullptr;
          attend.absorb(q, context.keys.block(key, head * head_width, keys, head_width),
                        context.values.block(key, head * head_width, keys, head_width), bias, out,
                        [&](auto& scores, const auto& sums) {
                          if (!request.probabilities.empty()) {
                            Matrix<T>& p = request.probabilities[static_cast<std::size_t>(head)];
                            for (Index i = 0; i < rows; ++i) {
                              for (Index j = 0; j < keys; ++j) {
                                p(first + row + i, described.column(key + j)) = scores(i, j) / sums(i);
                              }
                            }
                          }
                          if (dropout) {
                            dropout->apply(
                                positions.slice(first + row, rows), [&](Index j) { return described.column(key + j); },
                                scores);
                          }
                        });
        }
        attend.finish(out);
      }
    }
    weights.output.apply(attended, y.middleRows(first, count));
  });
}

}  // namespace linformer::inline LINFORMER_ABI
