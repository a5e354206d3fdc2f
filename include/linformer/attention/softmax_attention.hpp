#pragma once

#include <linformer/attention/attend_queries.hpp>

namespace linformer::inline LINFORMER_ABI {

/// K and V of all tokens of a context, as `attend_queries` takes them: softmax attention is Linformer's with E = F = I.
/// @param tokens positions of the rows, which are their columns of P
/// @param key_tile most keys that lie together, at least 1: a multiple of `query_tile`, or all
template <Scalar T>
void keys_values_of_tokens(const TransposedWeights<T>& weights, const ConstMatrixRef<T>& rows, const Positions& tokens,
                           Index heads, Index key_tile, KeysValues<T>& result, const Execution& execution) {
  const Index width = weights.width();
  const T key_scale = T{1} / std::sqrt(static_cast<T>(width / heads));
  result.heads.resize(static_cast<std::size_t>(heads));
  for (auto& head : result.heads) {
    head.rows = rows.rows();
    head.first = 0;
    head.columns_of_p = tokens.extent();
    head.columns.resize(static_cast<std::size_t>(tokens.count));
    for (Index i = 0; i < tokens.count; ++i) head.columns[static_cast<std::size_t>(i)] = tokens[i];
    head.score_bias.clear();
  }
  // Tiles of about the same size, each shared out evenly: no task's rows may leave their tile.
  const Index tiles = std::max((rows.rows() + key_tile - 1) / key_tile, Index{1});
  const Index tile = detail::EvenParts::whole_vectors((rows.rows() + tiles - 1) / tiles);
  result.resize(rows.rows(), width, false, tile);
  const detail::EvenParts parts(tile, detail::query_tile);
  execution.run(tiles * parts.count(), [&](Index task, const Compute& compute) {
    const Index part = task % parts.count();
    const Index first = task / parts.count() * tile + parts.first(part);
    const Index count = std::min(parts.rows(part), rows.rows() - first);
    if (count <= 0) return;
    const Operand<T> columns = operand<T>(transposed<T>(rows.middleRows(first, count), compute), compute);
    MatrixRef<T> keys = result.keys(first, count);
    multiply<T>(compute.isa, weights.key, columns, keys, {.row_bias = detail::data_or_null(weights.key_bias)});
    keys *= key_scale;
    auto values = compute.workspace.matrix<T>(width, count);
    multiply<T>(compute.isa, weights.value, columns, values, {.row_bias = detail::data_or_null(weights.value_bias)});
    transpose<T>(compute.isa, values, result.values().middleRows(first, count));
  });
  result.round(execution.isa, execution.precision);
}

/// Standard attention as the paper compares with: for one head after another the whole n × n matrix of scores is
/// written, then normalised in place, then multiplied with V. Time and memory O(n²).
/// The matrix lies tile by tile of queries, a query a column of its tile.
template <Scalar T>
void attend_materialised(const TransposedWeights<T>& weights, const KeysValues<T>& context, const Positions& positions,
                         const ConstMatrixRef<T>& x, MatrixRef<T> y, const WeightsRequest<T>& request,
                         const Execution& execution) {
  const auto heads = static_cast<Index>(context.heads.size());
  const Index head_width = weights.width() / heads;
  const Index keys = context.rows();
  const detail::EvenParts tiles(x.rows(), detail::query_tile);
  const auto for_each_tile = [&](const auto& work) {
    execution.run(tiles.count(), [&](Index tile, const Compute& compute) {
      work(tile, tiles.first(tile), tiles.rows(tile), compute);
    });
  };
  const Workspace::Scope scope(execution.workspace);
  auto queries = execution.workspace.matrix<T>(weights.width(), x.rows());  // a head's rows become its result
  auto scores = execution.workspace.matrix<T>(tiles.count() * keys, detail::query_tile);
  const auto scores_of = [&](Index tile, Index count) -> MatrixRef<T> {
    return scores.block(tile * keys, 0, keys, count);
  };
  for_each_tile([&](Index, Index first, Index count, const Compute& compute) {
    detail::project_queries<T>(weights, x.middleRows(first, count), queries.middleCols(first, count), compute);
  });
  for (Index head = 0; head < heads; ++head) {
    const Index row = head * head_width;
    const auto& described = context.heads[static_cast<std::size_t>(head)];
    const auto column_of = [&](Index j) { return described.column(j); };
    const std::optional<HeadDropout<T>> dropout = request.head_dropout(head);
    for_each_tile([&](Index tile, Index first, Index count, const Compute& compute) {
      const ConstMatrixRef<T> of_head = queries.block(row, first, head_width, count);
      const Operand<T> its_queries = operand<T>(of_head, compute);
      for (Index key = 0; key < keys; key += context.key_tile()) {
        const Index its_keys = std::min(context.key_tile(), keys - key);
        multiply<T>(compute.isa, context.key_operand(key, its_keys).middle_rows(row, head_width), its_queries,
                    scores_of(tile, count).middleRows(key, its_keys));
      }
    });
    for_each_tile([&](Index tile, Index first, Index count, const Compute& compute) {
      MatrixRef<T> weighted = scores_of(tile, count);
      auto state = compute.workspace.matrix<T>(3, count);
      state.row(0).setConstant(-std::numeric_limits<T>::infinity());
      state.bottomRows(2).setZero();
      absorb_scores<T>(compute.isa, weighted, state.row(0), state.row(1), state.row(2));
      state.row(2) = state.row(1).cwiseInverse();
      scale_columns<T>(compute.isa, weighted, state.row(2));
      if (!request.probabilities.empty()) {
        detail::copy_probabilities(weighted, Matrix<T>::Ones(1, count), first, column_of,
                                   request.probabilities[static_cast<std::size_t>(head)]);
      }
      if (dropout) dropout->apply_to_queries(compute.isa, positions.slice(first, count), described.columns, weighted);
    });
    for_each_tile([&](Index tile, Index first, Index count, const Compute& compute) {
      multiply<T>(compute.isa, context.value_operand().middle_cols(row, head_width),
                  operand<T>(scores_of(tile, count), compute), queries.block(row, first, head_width, count));
    });
  }
  for_each_tile([&](Index, Index first, Index count, const Compute& compute) {
    detail::project_output<T>(weights, queries.middleCols(first, count), y.middleRows(first, count), compute);
  });
}

}  // namespace linformer::inline LINFORMER_ABI
