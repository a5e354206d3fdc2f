#pragma once

#include <linformer/attention/attend_backward.hpp>
#include <linformer/attention/projection_backward.hpp>
#include <linformer/pretrained/attention_sample.hpp>

namespace linformer::inline LINFORMER_ABI {

/// What draws E and F back to where they started: ½·ρ·(‖E − E₀‖² + ‖F − F₀‖²)·n/k², once where E = F. With it columns
/// that no text reaches stay at their start. Mean pooling has ‖E‖² = k²/n, so that ρ is in units of it.
template <Scalar T>
struct Ridge {
  double weight = 0;  ///< ρ
  Matrix<T> e, f;     ///< E₀, F₀: k × n; f is empty where E = F

  [[nodiscard]] double scale() const {
    const auto k = static_cast<double>(e.rows());
    return weight * static_cast<double>(e.cols()) / (k * k);
  }
  [[nodiscard]] double value(const Matrix<T>& at, const Matrix<T>& start) const {
    return 0.5 * scale() * (at - start).template cast<double>().squaredNorm();
  }
};

/// J(E, F) = ½·Σ ‖P̄·F·V − P·V‖² / Σ ‖P·V‖² + ridge, over the texts and heads that E and F serve: half the squared
/// relative error of the heads' results. See docs/fitting.md.
template <Scalar T>
class ProjectionObjective {
 public:
  /// @param heads, ridge, execution outlive this
  ProjectionObjective(const TiedHeads<T>& heads, const Ridge<T>& ridge, const Execution& execution)
      : heads_(heads), ridge_(ridge), execution_(execution), squares_(heads.squares()) {
    if (squares_ == 0) squares_ = 1;
  }

  /// Σ ‖P·V‖²
  [[nodiscard]] double squares() const { return squares_; }

  /// J where E and F are apart, and its gradient with respect to E, k × n.
  [[nodiscard]] double operator()(const LearnedProjection<T>& e, const LearnedProjection<T>& f,
                                  Matrix<T>& e_gradient) const {
    const double error = sum(e, f, e_gradient, /*tied=*/false);
    return error + add_ridge(e.weight, e_gradient) + ridge_.value(f.weight, ridge_.f);
  }
  /// J where E = F, and its gradient.
  [[nodiscard]] double operator()(const LearnedProjection<T>& e, Matrix<T>& gradient) const {
    const double error = sum(e, e, gradient, /*tied=*/true);
    return error + add_ridge(e.weight, gradient);
  }
  /// √(Σ ‖P̄·F·V − P·V‖² / Σ ‖P·V‖²)
  [[nodiscard]] double relative_error(const LearnedProjection<T>& e, const LearnedProjection<T>& f) const {
    Matrix<T> gradient(e.rows(), e.columns());
    return std::sqrt(2 * sum(e, f, gradient, /*tied=*/false));
  }

 private:
  double add_ridge(const Matrix<T>& e, Matrix<T>& gradient) const {
    gradient += static_cast<T>(ridge_.scale()) * (e - ridge_.e);
    return ridge_.value(e, ridge_.e);
  }

  /// ½·Σ ‖P̄·F·V − P·V‖² / Σ ‖P·V‖²; writes its gradient with respect to E, and adds that with respect to F where they
  /// are tied.
  double sum(const LearnedProjection<T>& e, const LearnedProjection<T>& f, Matrix<T>& gradient, bool tied) const {
    const Vector<T> no_ones = Vector<T>::Zero(e.rows());
    const Index width = heads_.heads * heads_.head_width, k = e.rows();
    const T scale = T{1} / std::sqrt(static_cast<T>(heads_.head_width));
    typename KeysValues<T>::Head all_rows;
    all_rows.rows = k;
    const double error = detail::sum_over_pairs<T>(
        heads_.size(), gradient, execution_, [&](Index pair, LearnedProjection<T>& to, const Compute& compute) {
          const AttentionSample<T>& layer = heads_.layer(pair);
          const Positions tokens = heads_.positions(pair);
          if (tokens.count == 0) return 0.0;
          const auto query = heads_.block(pair, layer.query), key = heads_.block(pair, layer.key),
                     value = heads_.block(pair, layer.value), goal = heads_.block(pair, layer.attended);
          const auto matrix = [&](Index rows, Index columns) {
            return compute.workspace.template matrix<T>(rows, columns);
          };
          auto keys = matrix(k, width), values = matrix(k, width);  // K̄/√d, V̄
          auto keys_gradient = matrix(k, width), values_gradient = matrix(k, width);
          auto attended = matrix(tokens.count, heads_.head_width);
          keys.setZero();
          values.setZero();
          e.accumulate(tokens, key, keys, nullptr, compute);
          f.accumulate(tokens, value, values, nullptr, compute);
          keys *= scale;
          double squares = 0;
          for (Index head = 0; head < heads_.heads; ++head) {
            const Index first = head * heads_.head_width;
            const auto of_head = [&](auto&& all) { return all.middleCols(first, heads_.head_width); };
            const auto residual = [&](Index row, MatrixRef<T> tile) -> ConstMatrixRef<T> {
              tile -= of_head(goal).middleRows(row, tile.rows());
              squares += tile.template cast<double>().squaredNorm();
              return tile;
            };
            const Workspace::Scope scope(compute.workspace);
            detail::attend_head_backward<T>(of_head(query), residual, of_head(keys), of_head(values), all_rows, tokens,
                                            std::nullopt, attended, MatrixRef<T>(attended.topRows(0)),
                                            of_head(keys_gradient), of_head(values_gradient), compute);
          }
          keys_gradient *= scale;
          detail::weight_backward<T>(tokens, key, keys_gradient, no_ones, to, compute);
          if (tied) detail::weight_backward<T>(tokens, value, values_gradient, no_ones, to, compute);
          return squares;
        });
    gradient /= static_cast<T>(squares_);
    return 0.5 * error / squares_;
  }

  const TiedHeads<T>& heads_;
  const Ridge<T>& ridge_;
  const Execution& execution_;
  double squares_;
};

}  // namespace linformer::inline LINFORMER_ABI
