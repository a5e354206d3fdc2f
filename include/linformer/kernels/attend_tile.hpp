#pragma once

#include <linformer/kernels/product.hpp>
#include <linformer/kernels/softmax.hpp>

#include <limits>

namespace linformer::inline LINFORMER_ABI {

namespace detail {

/// Queries that one task takes: whole vectors and tiles of a product; its rows of X, Q and the result, and a tile of
/// scores, stay in the second-level cache.
inline constexpr Index query_tile = 96;
inline constexpr Index key_tile = 5 * query_tile;

}  // namespace detail

/// Softmax attention of one tile of queries of one head, absorbing tiles of keys and values one after another, so that
/// scores take tile × queries, whatever the number of keys. A query is a column: maxima and sums then need no sum
/// across a vector, and every product reads its operands in place. Results are normalised once, with the last tile.
template <Scalar T>
class AttendTile {
 public:
  /// @param keys most keys of a tile, @param queries most queries
  AttendTile(Index keys, Index queries, const Compute& compute)
      : compute_(compute),
        scores_(compute.workspace.matrix<T>(keys, queries)),
        state_(compute.workspace.matrix<T>(4, queries)) {}

  /// Forgets all keys; `out` collects the result from here on.
  void begin(Index queries) {
    queries_ = queries;
    first_ = true;
    state_.row(0).setConstant(-std::numeric_limits<T>::infinity());
    state_.middleRows(1, 2).setZero();
  }

  /// Absorbs a tile of c keys and values.
  /// @param queries d × m, a query a column
  /// @param keys d × c, a key a column, already scaled by 1/√d
  /// @param values c × d_v, a value a row
  /// @param score_bias c values added to the scores of each key; null for none
  /// @param out d_v × m, a result a column
  /// @param last whether no more keys come: the result is then normalised
  /// @param on_weights called as on_weights(weights, sums) with exp(score − maximum) (c × m) and their sums (1 × m)
  ///   before values are weighed: it may copy the weights and change them (dropout)
  template <class OnWeights>
  void absorb(const Operand<T>& queries, const Operand<T>& keys, const Operand<T>& values, const T* score_bias,
              MatrixRef<T> out, bool last, const OnWeights& on_weights) {
    const Workspace::Scope scope(compute_.workspace);
    const Isa isa = compute_.isa;
    MatrixRef<T> scores = scores_.topLeftCorner(keys.cols(), queries_);
    multiply<T>(isa, keys, queries, scores, {.row_bias = score_bias});
    const auto state = [&](Index row) -> MatrixRef<T> { return state_.block(row, 0, 1, queries_); };
    absorb_scores<T>(isa, scores, state(0), state(1), state(2));
    on_weights(scores, state_.row(1));
    if (last) state(3) = state(1).cwiseInverse();
    multiply<T>(
        isa, values, operand<T>(scores, compute_), out,
        {.add = !first_, .kept = first_ ? nullptr : &state_(2, 0), .column_factor = last ? &state_(3, 0) : nullptr});
    first_ = false;
  }

 private:
  Compute compute_;
  ScratchMatrix<T> scores_;  // c × m
  ScratchMatrix<T> state_;   // 4 × m: running maxima, running sums, what earlier results shrink by, 1 / sums
  Index queries_ = 0;
  bool first_ = true;
};

}  // namespace linformer::inline LINFORMER_ABI
