#pragma once

#include <linformer/pretrained/projection_objective.hpp>

namespace linformer::inline LINFORMER_ABI {

/// The normal equations of F where E, and with it P̄, is fixed and F apart from it: the F that minimises J solves
/// Σ P̄ᵀ·P̄·F·V·Vᵀ / s + ρ'·F = Σ P̄ᵀ·(P·V)·Vᵀ / s + ρ'·F₀, s = Σ ‖P·V‖² and ρ' the ridge's scale. P̄ᵀ·P̄ of each text
/// and head is kept, k² values each, so that a product needs no P̄. See docs/fitting.md.
template <Scalar T>
class ValueProjectionSystem {
 public:
  /// @param heads, ridge, execution outlive this; @param squares s
  ValueProjectionSystem(const TiedHeads<T>& heads, const Ridge<T>& ridge, double squares, const LearnedProjection<T>& e,
                        const Execution& execution)
      : heads_(heads),
        execution_(execution),
        squares_(static_cast<T>(squares)),
        ridge_(static_cast<T>(ridge.scale())),
        no_ones_(Vector<T>::Zero(e.rows())),
        grams_(static_cast<std::size_t>(heads.size() * heads.heads)),
        right_hand_side_(e.rows(), e.columns()) {
    const Index k = e.rows(), d = heads.head_width;
    detail::sum_over_pairs<T>(
        heads.size(), right_hand_side_, execution, [&](Index pair, LearnedProjection<T>& to, const Compute& compute) {
          const AttentionSample<T>& layer = heads_.layer(pair);
          const Positions tokens = heads_.positions(pair);
          if (tokens.count == 0) return 0.0;
          auto keys = compute.workspace.template matrix<T>(k, heads_.heads * d);
          auto sums = compute.workspace.template matrix<T>(k, heads_.heads * d);  // P̄ᵀ·(P·V)
          keys.setZero();
          e.accumulate(tokens, heads_.block(pair, layer.key), keys, nullptr, compute);
          keys /= std::sqrt(static_cast<T>(d));
          for (Index head = 0; head < heads_.heads; ++head) {
            add_head(heads_.block(pair, layer.query).middleCols(head * d, d), keys.middleCols(head * d, d),
                     heads_.block(pair, layer.attended).middleCols(head * d, d), gram(pair, head),
                     sums.middleCols(head * d, d), compute);
          }
          detail::weight_backward<T>(tokens, heads_.block(pair, layer.value), sums, no_ones_, to, compute);
          return 0.0;
        });
    right_hand_side_ = right_hand_side_ / squares_ + ridge_ * ridge.f;
  }

  /// k × n
  [[nodiscard]] const Matrix<T>& right_hand_side() const { return right_hand_side_; }

  /// out = Σ P̄ᵀ·P̄·F·V·Vᵀ / s + ρ'·F, k × n
  void apply(const LearnedProjection<T>& f, Matrix<T>& out) const {
    const Index k = f.rows(), d = heads_.head_width;
    detail::sum_over_pairs<T>(heads_.size(), out, execution_,
                              [&](Index pair, LearnedProjection<T>& to, const Compute& compute) {
                                const auto value = heads_.block(pair, heads_.layer(pair).value);
                                const Positions tokens = heads_.positions(pair);
                                if (tokens.count == 0) return 0.0;
                                auto values = compute.workspace.template matrix<T>(k, heads_.heads * d);
                                auto products = compute.workspace.template matrix<T>(k, heads_.heads * d);
                                values.setZero();
                                f.accumulate(tokens, value, values, nullptr, compute);
                                for (Index head = 0; head < heads_.heads; ++head) {
                                  multiply<T>(compute.isa, gram(pair, head), values.middleCols(head * d, d),
                                              products.middleCols(head * d, d));
                                }
                                detail::weight_backward<T>(tokens, value, products, no_ones_, to, compute);
                                return 0.0;
                              });
    out = out / squares_ + ridge_ * f.weight;
  }

 private:
  [[nodiscard]] Matrix<T>& gram(Index pair, Index head) {
    return grams_[static_cast<std::size_t>(pair * heads_.heads + head)];
  }
  [[nodiscard]] const Matrix<T>& gram(Index pair, Index head) const {
    return grams_[static_cast<std::size_t>(pair * heads_.heads + head)];
  }

  /// Of one text and head: P̄ᵀ·P̄ and P̄ᵀ·(P·V), a tile of queries at a time.
  static void add_head(const ConstMatrixRef<T>& query, const ConstMatrixRef<T>& keys, const ConstMatrixRef<T>& goal,
                       Matrix<T>& gram, MatrixRef<T> sums, const Compute& compute) {
    const Index k = keys.rows();
    gram.resize(k, k);
    const Workspace::Scope scope(compute.workspace);
    const auto key_columns = transposed<T>(keys, compute);
    for (Index first = 0; first < query.rows(); first += detail::query_tile) {
      const Workspace::Scope of_tile(compute.workspace);
      const Index m = std::min(detail::query_tile, query.rows() - first);
      auto p = compute.workspace.template matrix<T>(k, m);
      auto state = compute.workspace.template matrix<T>(3, m);
      detail::weights_of_queries<T>(key_columns, query.middleRows(first, m), {}, p, state, compute);
      const auto weights = transposed<T>(p, compute);  // P̄ of the tile, m × k
      multiply<T>(compute.isa, weights, weights, gram, {.add = first != 0});
      multiply<T>(compute.isa, weights, goal.middleRows(first, m), sums, {.add = first != 0});
    }
  }

  const TiedHeads<T>& heads_;
  const Execution& execution_;
  T squares_, ridge_;
  Vector<T> no_ones_;
  std::vector<Matrix<T>> grams_;
  Matrix<T> right_hand_side_;
};

}  // namespace linformer::inline LINFORMER_ABI
