#pragma once

#include <linformer/attention/attend_queries.hpp>
#include <linformer/kernels/softmax.hpp>

namespace linformer::inline LINFORMER_ABI {

/// K and V of all tokens of a context, as `attend_queries` takes them: softmax attention is Linformer's with E = F = I.
/// @param tokens positions of the rows, which are their columns of P
template <Scalar T>
void keys_values_of_tokens(const AttentionWeights<T>& weights, const ConstMatrixRef<T>& rows, const Positions& tokens,
                           Index heads, KeysValues<T>& result, ThreadPool& pool) {
  const Index width = weights.key.weight.rows();
  const T key_scale = T{1} / std::sqrt(static_cast<T>(width / heads));
  result.heads.resize(static_cast<std::size_t>(heads));
  for (auto& head : result.heads) {
    head.rows = rows.rows();
    head.columns_of_p = tokens.extent();
    head.columns.resize(static_cast<std::size_t>(tokens.count));
    for (Index i = 0; i < tokens.count; ++i) head.columns[static_cast<std::size_t>(i)] = tokens[i];
    head.score_bias.resize(0);
  }
  result.keys.resize(rows.rows(), width);
  result.values.resize(rows.rows(), width);
  const Index tile = detail::query_tile(rows.rows());
  pool.run((rows.rows() + tile - 1) / tile, [&](Index task, Index /*worker*/) {
    const Index first = task * tile;
    const Index count = std::min(tile, rows.rows() - first);
    weights.key.apply(rows.middleRows(first, count), result.keys.middleRows(first, count));
    result.keys.middleRows(first, count) *= key_scale;
    weights.value.apply(rows.middleRows(first, count), result.values.middleRows(first, count));
  });
}

/// Standard attention as the paper compares with: for one head after another the whole n × n matrix of scores is
/// written, normalised in place, and multiplied with V. Time and memory O(n²).
template <Scalar T>
void attend_materialised(const AttentionWeights<T>& weights, const KeysValues<T>& context, const Positions& positions,
                         const ConstMatrixRef<T>& x, MatrixRef<T> y, const WeightsRequest<T>& request, ThreadPool& pool,
                         Workspace& workspace) {
  const auto heads = static_cast<Index>(context.heads.size());
  const Index width = weights.query.weight.rows();
  const Index head_width = width / heads;
  const Index keys = context.keys.rows();
  const Index tile = detail::query_tile(x.rows());
  const auto for_each_tile = [&](const auto& work) {
    pool.run((x.rows() + tile - 1) / tile,
             [&](Index task, Index /*worker*/) { work(task * tile, std::min(tile, x.rows() - task * tile)); });
  };
  const Workspace::Scope scope(workspace);
  auto queries = workspace.matrix<T>(x.rows(), width);  // each head's columns are overwritten by its result
  auto scores = workspace.matrix<T>(x.rows(), keys);
  for_each_tile([&](Index first, Index count) {
    weights.query.apply(x.middleRows(first, count), queries.middleRows(first, count));
  });
  for (Index head = 0; head < heads; ++head) {
    const auto& described = context.heads[static_cast<std::size_t>(head)];
    const Index column = head * head_width;
    for_each_tile([&](Index first, Index count) {
      multiply_by_transposed<T>(queries.block(first, column, count, head_width),
                                context.keys.middleCols(column, head_width), scores.middleRows(first, count));
    });
    for_each_tile([&](Index first, Index count) { softmax_rows<T>(scores.middleRows(first, count)); });
    if (!request.probabilities.empty()) {
      Matrix<T>& p = request.probabilities[static_cast<std::size_t>(head)];
      for (Index i = 0; i < x.rows(); ++i) {
        for (Index j = 0; j < keys; ++j) p(i, described.column(j)) = scores(i, j);
      }
    }
    if (request.dropout && request.dropout_rate > 0) {
      const HeadDropout<T> dropout(*request.dropout, request.sample, static_cast<std::uint64_t>(head),
                                   request.dropout_rate);
      for_each_tile([&](Index first, Index count) {
        dropout.apply(
            positions.slice(first, count), [&](Index j) { return described.column(j); },
            scores.middleRows(first, count));
      });
    }
    for_each_tile([&](Index first, Index count) {
      multiply<T>(scores.middleRows(first, count), context.values.middleCols(column, head_width),
                  queries.block(first, column, count, head_width));
    });
  }
  for_each_tile([&](Index first, Index count) {
    weights.output.apply(queries.middleRows(first, count), y.middleRows(first, count));
  });
}

}  // namespace linformer::inline LINFORMER_ABI
