#pragma once

#include <linformer/attention/keys_values.hpp>
#include <linformer/attention/options.hpp>
#include <linformer/attention/weights.hpp>
#include <linformer/core/even_parts.hpp>
#include <linformer/kernels/attend_tile.hpp>
#include <linformer/kernels/scale_columns.hpp>

#include <algorithm>
#include <span>

namespace linformer::inline LINFORMER_ABI {

/// What a call wants done with P̄ of one sequence.
template <Scalar T>
struct WeightsRequest {
  std::span<Matrix<T>> probabilities{};     ///< one for each head, queries × columns, zeroed; empty if not wanted
  std::optional<DropoutAddress> dropout{};  ///< of this call
  double dropout_rate = 0;
  std::uint64_t sample = 0;  ///< index of the sequence in the call

  /// The draws of a head, if there are any.
  [[nodiscard]] std::optional<HeadDropout<T>> head_dropout(Index head) const {
    if (!dropout || dropout_rate == 0) return {};
    return HeadDropout<T>(*dropout, sample, static_cast<std::uint64_t>(head), dropout_rate);
  }
};

namespace detail {

/// out (h·d × m) = W_Q·xᵀ + b·1ᵀ of a tile of rows, a query a column.
template <Scalar T>
void project_queries(const TransposedWeights<T>& weights, const ConstMatrixRef<T>& x, MatrixRef<T> out,
                     const Compute& compute) {
  const Workspace::Scope scope(compute.workspace);
  multiply<T>(compute.isa, weights.query, operand<T>(transposed<T>(x, compute), compute), out,
              {.row_bias = data_or_null(weights.query_bias)});
}

/// y (m × D) = attended·W_Oᵀ + 1·bᵀ of a tile. @param attended h·d × m, a query a column
template <Scalar T>
void project_output(const TransposedWeights<T>& weights, const ConstMatrixRef<T>& attended, MatrixRef<T> y,
                    const Compute& compute) {
  const Workspace::Scope scope(compute.workspace);
  // Weights on the left, of which a block then serves the whole tile from the second-level cache.
  auto columns = compute.workspace.matrix<T>(y.cols(), y.rows());
  multiply<T>(compute.isa, weights.output, operand<T>(attended, compute), columns,
              {.row_bias = data_or_null(weights.output_bias)});
  transpose<T>(compute.isa, columns, y);
}

/// Copies weights (keys × m) divided by their sums (1 × m) into rows of P̄.
template <Scalar T, class Weights, class Sums, class ColumnOf>
void copy_probabilities(const Weights& weights, const Sums& sums, Index first_row, const ColumnOf& column_of,
                        Matrix<T>& p) {
  for (Index i = 0; i < weights.cols(); ++i) {
    for (Index j = 0; j < weights.rows(); ++j) p(first_row + i, column_of(j)) = weights(j, i) / sums(i);
  }
}

}  // namespace detail

/// Attention of the queries of one sequence in the absorbed order: scores of all heads are one product with X, and
/// their weights, each head's normalised, one with all values.
template <Scalar T>
void attend_absorbed(const TransposedWeights<T>& weights, const KeysValues<T>& context, const Positions& positions,
                     const ConstMatrixRef<T>& x, MatrixRef<T> y, const WeightsRequest<T>& request,
                     const Execution& execution) {
  const detail::EvenParts tiles(x.rows(), detail::query_tile);
  execution.run(tiles.count(), [&](Index task, const Compute& compute) {
    const Index first = tiles.first(task);
    const Index count = tiles.rows(task);
    auto scores = compute.workspace.matrix<T>(context.rows(), count);
    auto state = compute.workspace.matrix<T>(3, count);
    const Operand<T> columns = operand<T>(transposed<T>(x.middleRows(first, count), compute), compute);
    multiply<T>(compute.isa, context.key_operand(0, context.rows()), columns, scores);
    for (std::size_t head = 0; head < context.heads.size(); ++head) {
      const auto& described = context.heads[head];
      MatrixRef<T> of_head = scores.middleRows(described.first, described.rows);
      if (!described.score_bias.empty()) {
        of_head.colwise() += Eigen::Map<const Vector<T>>(described.score_bias.data(), described.rows);
      }
      state.row(0).setConstant(-std::numeric_limits<T>::infinity());
      state.bottomRows(2).setZero();
      absorb_scores<T>(compute.isa, of_head, state.row(0), state.row(1), state.row(2));
      const auto column_of = [&](Index j) { return described.column(j); };
      if (!request.probabilities.empty()) {
        detail::copy_probabilities(of_head, state.row(1), first, column_of, request.probabilities[head]);
      }
      if (const auto dropout = request.head_dropout(static_cast<Index>(head))) {
        dropout->apply_to_queries(compute.isa, positions.slice(first, count), described.columns, of_head);
      }
      state.row(2) = state.row(1).cwiseInverse();
      scale_columns<T>(compute.isa, of_head, state.row(2));
    }
    MatrixRef<T> out = y.middleRows(first, count);
    multiply<T>(compute.isa, operand<T>(scores, compute), context.value_operand(), out,
                {.column_bias = detail::data_or_null(weights.output_bias)});
  });
}

/// softmax(Q·K̄ᵀ/√d)·V̄·W_Oᵀ + b of the queries of one sequence (Eq. 7), in tiles: neither Q nor P̄ is stored.
/// @param positions of the queries in their sequence
/// @param x queries × D, @param y queries × D
template <Scalar T>
void attend_queries(const TransposedWeights<T>& weights, const KeysValues<T>& context, const Positions& positions,
                    const ConstMatrixRef<T>& x, MatrixRef<T> y, const WeightsRequest<T>& request,
                    const Execution& execution) {
  if (context.absorbed()) {
    attend_absorbed(weights, context, positions, x, y, request, execution);
    return;
  }
  const auto heads = static_cast<Index>(context.heads.size());
  const Index head_width = weights.width() / heads;
  // Asked for P̄, the scores of a query must be whole; otherwise many keys are taken a tile at a time.
  const Index key_tile =
      request.probabilities.empty() ? std::min(detail::key_tile, context.key_tile()) : context.rows();
  const detail::EvenParts tiles(x.rows(), detail::query_tile);
  execution.run(tiles.count(), [&](Index task, const Compute& compute) {
    const Index first = tiles.first(task);
    const Index count = tiles.rows(task);
    auto queries = compute.workspace.matrix<T>(weights.width(), count);
    auto attended = compute.workspace.matrix<T>(weights.width(), count);
    detail::project_queries<T>(weights, x.middleRows(first, count), queries, compute);
    const Operand<T> query_operand = operand<T>(queries, compute);
    AttendTile<T> attend(key_tile, count, compute);
    for (Index head = 0; head < heads; ++head) {
      const auto& described = context.heads[static_cast<std::size_t>(head)];
      const std::optional<HeadDropout<T>> dropout = request.head_dropout(head);
      MatrixRef<T> out = attended.middleRows(head * head_width, head_width);
      if (described.rows == 0) {
        out.setZero();
        continue;
      }
      attend.begin(count);
      for (Index key = 0; key < described.rows; key += key_tile) {
        const Index keys = std::min(key_tile, described.rows - key);
        const auto column_of = [&](Index j) { return described.column(key + j); };
        attend.absorb(query_operand.middle_rows(head * head_width, head_width),
                      context.key_operand(key, keys).middle_rows(head * head_width, head_width),
                      context.value_operand().middle_rows(key, keys).middle_cols(head * head_width, head_width),
                      described.score_bias.empty() ? nullptr : described.score_bias.data() + key, out,
                      key + keys == described.rows, [&](MatrixRef<T> scores, const auto& sums) {
                        if (!request.probabilities.empty()) {
                          detail::copy_probabilities(scores, sums, first, column_of,
                                                     request.probabilities[static_cast<std::size_t>(head)]);
                        }
                        if (dropout) {
                          dropout->apply_to_queries(compute.isa, positions.slice(first, count),
                                                    described.columns_of(key, keys), scores);
                        }
                      });
      }
    }
    detail::project_output<T>(weights, attended, y.middleRows(first, count), compute);
  });
}

}  // namespace linformer::inline LINFORMER_ABI
