#pragma once

#include <linformer/train/conjugate_gradients.hpp>

#include <deque>
#include <utility>
#include <vector>

namespace linformer::inline LINFORMER_ABI {

/// How L-BFGS searches, and when it stops.
struct LbfgsConfig {
  Index iterations = 50;    ///< at most
  Index history = 8;        ///< pairs of steps and gradients' changes that curvature is told from
  double tolerance = 1e-4;  ///< it stops once an iteration lowers the value by no more than this part of it
  double first_step = 1;    ///< length of the step that is tried where no curvature is known yet
};

/// Why L-BFGS stopped.
enum class LbfgsStop {
  iterations,   ///< `LbfgsConfig::iterations` were taken
  tolerance,    ///< the last one lowered the value by no more than `LbfgsConfig::tolerance`
  flat,         ///< the gradient is zero
  no_decrease,  ///< no step that was tried lowered the value: none is left to find within rounding, or the gradient is
                ///< not the function's
  not_finite,   ///< value or gradient are NaN or infinite where it stands
};

/// What it came to.
struct Minimum {
  double value = 0;
  Index iterations = 0;   ///< steps taken
  Index evaluations = 0;  ///< calls of the function
  LbfgsStop stop = LbfgsStop::iterations;
};

namespace detail {

/// The steps of L-BFGS so far, as what they tell of the inverse of the Hessian.
template <Scalar T>
class CurvatureHistory {
 public:
  explicit CurvatureHistory(Index most) : most_(static_cast<std::size_t>(most)) {}

  [[nodiscard]] bool empty() const { return pairs_.empty(); }
  void clear() { pairs_.clear(); }

  /// A step without positive curvature, which only its end satisfied, tells nothing and is left out.
  void add(Vector<T> step, Vector<T> change) {
    const double curvature = inner_product<T>(step, change), squares = inner_product<T>(change, change);
    if (!(curvature > 1e-8 * std::sqrt(inner_product<T>(step, step) * squares))) return;
    if (pairs_.size() == most_) pairs_.pop_front();
    pairs_.push_back({std::move(step), std::move(change), curvature, curvature / squares});
  }

  /// −H·g by the two loops (Nocedal and Wright 2006, Algorithm 7.4).
  [[nodiscard]] Vector<T> direction(const Vector<T>& gradient) const {
    Vector<T> result = -gradient;
    std::vector<double> weights(pairs_.size());
    for (std::size_t i = pairs_.size(); i-- > 0;) {
      weights[i] = inner_product<T>(pairs_[i].step, result) / pairs_[i].curvature;
      result -= static_cast<T>(weights[i]) * pairs_[i].change;
    }
    if (!pairs_.empty()) result *= static_cast<T>(pairs_.back().scale);
    for (std::size_t i = 0; i < pairs_.size(); ++i) {
      const double back = inner_product<T>(pairs_[i].change, result) / pairs_[i].curvature;
      result += static_cast<T>(weights[i] - back) * pairs_[i].step;
    }
    return result;
  }

 private:
  struct Pair {
    Vector<T> step, change;
    double curvature, scale;
  };
  std::size_t most_;
  std::deque<Pair> pairs_;
};

}  // namespace detail

/// Minimises a smooth function by L-BFGS (Liu and Nocedal 1989) with steps that are halved until they lower it enough
/// (Armijo) and end where value and gradient are finite: the value never rises. Memory is 2·history + 5 vectors.
/// @param function called as function(x, gradient): writes the gradient and returns the value
/// @param x where to start; on return the lowest point found
/// @param progress called as progress(iteration, value) after each step
template <Scalar T, class Function, class Progress>
Minimum minimise_lbfgs(const Function& function, Vector<T>& x, const LbfgsConfig& config, const Progress& progress) {
  constexpr double enough = 1e-4;  // of the decrease that the slope promises
  constexpr int most_halvings = 20;
  detail::CurvatureHistory<T> history(config.history);
  Vector<T> gradient(x.size()), next(x.size()), next_gradient(x.size());
  Minimum result{function(x, gradient), 0, 1};
  const auto stopped = [&](LbfgsStop stop) {
    result.stop = stop;
    return result;
  };
  if (!std::isfinite(result.value) || !gradient.allFinite()) return stopped(LbfgsStop::not_finite);
  while (result.iterations < config.iterations) {
    Vector<T> direction = history.direction(gradient);
    double slope = detail::inner_product<T>(gradient, direction);
    if (!(slope < 0)) {  // rounding has spoiled the history
      history.clear();
      direction = -gradient;
      slope = -detail::inner_product<T>(gradient, gradient);
    }
    if (!(slope < 0)) return stopped(LbfgsStop::flat);
    double step = history.empty() ? config.first_step / std::sqrt(detail::inner_product<T>(direction, direction)) : 1;
    double value = 0;
    bool lower = false;
    for (int halvings = 0; !lower && halvings < most_halvings; ++halvings, step /= 2) {
      next = x + static_cast<T>(step) * direction;
      value = function(next, next_gradient);
      ++result.evaluations;
      lower = std::isfinite(value) && value <= result.value + enough * step * slope && next_gradient.allFinite();
    }
    if (!lower) return stopped(LbfgsStop::no_decrease);
    history.add(next - x, next_gradient - gradient);
    const double before = result.value;
    x.swap(next);
    gradient.swap(next_gradient);
    result.value = value;
    progress(++result.iterations, value);
    if (before - value <= config.tolerance * std::abs(before)) return stopped(LbfgsStop::tolerance);
  }
  return stopped(LbfgsStop::iterations);
}

}  // namespace linformer::inline LINFORMER_ABI
