#pragma once

#include <linformer/attention/attend_queries.hpp>
#include <linformer/kernels/softmax_gradient.hpp>

namespace linformer::inline LINFORMER_ABI {

/// One sequence as backward of attend takes it: its rows of the batch, and what they attended to.
template <Scalar T>
struct AttendedSequence {
  Index first_query = 0;                                  ///< row of the batch
  Positions queries{};                                    ///< their positions
  Index first_key = 0;                                    ///< row of keys and values
  std::span<const typename KeysValues<T>::Head> heads{};  ///< which rows of them take part, head by head
};

namespace detail {

/// How the queries of a sequence are cut for backward, by their number alone: the gradients of keys and values of each
/// block are kept apart, then added in order. At most four, so that they take O(n·D) where keys are tokens.
class QueryBlocks {
 public:
  static constexpr Index most = 4;

  explicit constexpr QueryBlocks(Index queries)
      : queries_(queries), count_(std::clamp(queries / (4 * query_tile), Index{1}, most)) {}

  [[nodiscard]] constexpr Index count() const { return count_; }
  [[nodiscard]] constexpr Index first(Index block) const {
    return block == count_ ? queries_ : block * (queries_ / query_tile) / count_ * query_tile;
  }

 private:
  Index queries_, count_;
};

/// P̄ of some queries of one head, a query a column.
/// @param key_columns d × c, scaled by 1/√d; @param q m × d; @param p c × m: written; @param state 3 × m, scratch
/// memory
template <Scalar T>
void weights_of_queries(const ConstMatrixRef<T>& key_columns, const ConstMatrixRef<T>& q,
                        const std::vector<T>& score_bias, MatrixRef<T> p, MatrixRef<T> state, const Compute& compute) {
  const Workspace::Scope scope(compute.workspace);
  multiply<T>(compute.isa, key_columns, transposed<T>(q, compute), p,
              {.row_bias = score_bias.empty() ? nullptr : score_bias.data()});
  state.row(0).setConstant(-std::numeric_limits<T>::infinity());
  state.bottomRows(2).setZero();
  absorb_scores<T>(compute.isa, p, state.row(0), state.row(1), state.row(2));
  state.row(2) = state.row(1).cwiseInverse();
  scale_columns<T>(compute.isa, p, state.row(2));
}

/// Backward of one head of some queries: softmax(Q·Kᵀ)·V is computed anew, a tile of queries at a time.
/// @param q queries × d
/// @param gradient_of called as gradient_of(first, attended) with the result of the queries from `first` on, m × d: its
///   gradient, which may be written over it
/// @param keys scaled by 1/√d, @param values c × d
/// @param attended queries × d: written; @param q_gradient the same, or empty where it is not wanted
/// @param keys_gradient of the scaled keys, @param values_gradient c × d: written
template <Scalar T, class GradientOf>
void attend_head_backward(const ConstMatrixRef<T>& q, const GradientOf& gradient_of, const ConstMatrixRef<T>& keys,
                          const ConstMatrixRef<T>& values, const typename KeysValues<T>::Head& head,
                          const Positions& positions, const std::optional<HeadDropout<T>>& dropout,
                          MatrixRef<T> attended, MatrixRef<T> q_gradient, MatrixRef<T> keys_gradient,
                          MatrixRef<T> values_gradient, const Compute& compute) {
  const Isa isa = compute.isa;
  const Index c = keys.rows();
  const auto key_columns = transposed<T>(keys, compute);      // d × c
  const auto value_columns = transposed<T>(values, compute);  // d × c
  for (Index first = 0; first < q.rows(); first += query_tile) {
    const Workspace::Scope scope(compute.workspace);
    const Index m = std::min(query_tile, q.rows() - first);
    auto p = compute.workspace.matrix<T>(c, m);
    auto p_gradient = compute.workspace.matrix<T>(c, m);
    auto state = compute.workspace.matrix<T>(3, m);
    const auto its_q = q.middleRows(first, m);
    weights_of_queries<T>(key_columns, its_q, head.score_bias, p, state, compute);

    const auto go_back = [&](const ConstMatrixRef<T>& weights) {  // P̄ after dropout, if any
      MatrixRef<T> its_attended = attended.middleRows(first, m);
      multiply<T>(isa, weights, values, its_attended);
      const ConstMatrixRef<T> its_gradient = gradient_of(first, its_attended);
      multiply<T>(isa, value_columns, transposed<T>(its_gradient, compute), p_gradient);
      multiply<T>(isa, transposed<T>(weights, compute), its_gradient, values_gradient, {.add = first != 0});
    };
    if (dropout) {
      auto dropped = compute.workspace.matrix<T>(c, m);
      dropped = p;
      dropout->apply_to_queries(isa, positions.slice(first, m), head.columns, dropped);
      go_back(dropped);
      dropout->apply_to_queries(isa, positions.slice(first, m), head.columns, p_gradient);
    } else {
      go_back(p);
    }
    softmax_gradient<T>(isa, p, p_gradient, state.row(0));
    if (q_gradient.size() != 0) multiply<T>(isa, p_gradient, keys, q_gradient.middleRows(first, m));
    multiply<T>(isa, transposed<T>(p_gradient, compute), its_q, keys_gradient, {.add = first != 0});
  }
}

}  // namespace detail

/// Backward of attention between queries and keys, for all sequences and heads of a batch. Nothing of forward is needed
/// but what it read.
/// @param q, attended_gradient rows × h·d: Q, and the gradient of the heads' results
/// @param keys scaled by 1/√d, @param values keys × h·d
/// @param attended, q_gradient rows × h·d: written, the heads' results and the gradient of Q
/// @param keys_gradient of the scaled keys, @param values_gradient keys × h·d: written where a key takes part, else
/// zero
template <Scalar T>
void attend_backward(std::span<const AttendedSequence<T>> sequences, const ConstMatrixRef<T>& q,
                     const ConstMatrixRef<T>& attended_gradient, const ConstMatrixRef<T>& keys,
                     const ConstMatrixRef<T>& values, const WeightsRequest<T>& request, MatrixRef<T> attended,
                     MatrixRef<T> q_gradient, MatrixRef<T> keys_gradient, MatrixRef<T> values_gradient,
                     const Execution& execution) {
  if (sequences.empty()) return;
  const Workspace::Scope scope(execution.workspace);
  const auto heads = static_cast<Index>(sequences.front().heads.size());
  const Index width = q.cols() / heads;
  Index blocks = 1;
  for (const auto& sequence : sequences) {
    blocks = std::max(blocks, detail::QueryBlocks(sequence.queries.count).count());
  }
  auto later = execution.workspace.matrix<T>(2 * (blocks - 1) * keys.rows(), keys.cols());  // of later blocks
  keys_gradient.setZero();
  values_gradient.setZero();
  const auto of_block = [&](Index block, Index side, MatrixRef<T> first_block) -> MatrixRef<T> {
    if (block == 0) return first_block;
    return later.middleRows((2 * (block - 1) + side) * keys.rows(), keys.rows());
  };

  const auto count = static_cast<Index>(sequences.size());
  execution.run(count * heads * blocks, [&](Index task, const Compute& compute) {
    const Index b = task / (heads * blocks), head = task / blocks % heads, block = task % blocks;
    const AttendedSequence<T>& sequence = sequences[static_cast<std::size_t>(b)];
    const detail::QueryBlocks cut(sequence.queries.count);
    if (block >= cut.count() || sequence.queries.count == 0) return;
    const Index first = cut.first(block), rows = cut.first(block + 1) - first;
    const auto& described = sequence.heads[static_cast<std::size_t>(head)];
    const auto of_queries = [&](const auto& all) {
      return all.block(sequence.first_query + first, head * width, rows, width);
    };
    MatrixRef<T> its_attended = attended.block(sequence.first_query + first, head * width, rows, width);
    MatrixRef<T> its_q_gradient = q_gradient.block(sequence.first_query + first, head * width, rows, width);
    if (described.rows == 0) {
      its_attended.setZero();
      its_q_gradient.setZero();
      return;
    }
    const auto of_keys = [&](auto&& all) { return all.block(sequence.first_key, head * width, described.rows, width); };
    WeightsRequest<T> its_request = request;
    its_request.sample = static_cast<std::uint64_t>(b);
    const auto gradient_of = [&](Index query, const MatrixRef<T>& tile) -> ConstMatrixRef<T> {
      return attended_gradient.block(sequence.first_query + first + query, head * width, tile.rows(), width);
    };
    detail::attend_head_backward<T>(of_queries(q), gradient_of, of_keys(keys), of_keys(values), described,
                                    sequence.queries.slice(first, rows), its_request.head_dropout(head), its_attended,
                                    its_q_gradient, of_keys(of_block(block, 0, keys_gradient)),
                                    of_keys(of_block(block, 1, values_gradient)), compute);
  });

  execution.run(count * heads, [&](Index task, const Compute&) {
    const AttendedSequence<T>& sequence = sequences[static_cast<std::size_t>(task / heads)];
    const Index head = task % heads, rows = sequence.heads[static_cast<std::size_t>(head)].rows;
    const auto its = [&](MatrixRef<T> all) -> MatrixRef<T> {
      return all.block(sequence.first_key, head * width, rows, width);
    };
    for (Index block = 1; block < detail::QueryBlocks(sequence.queries.count).count(); ++block) {
      its(keys_gradient) += its(of_block(block, 0, keys_gradient));
      its(values_gradient) += its(of_block(block, 1, values_gradient));
    }
  });
}

}  // namespace linformer::inline LINFORMER_ABI
