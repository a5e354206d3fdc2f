#pragma once

#include <linformer/train/cross_entropy.hpp>

namespace linformer::inline LINFORMER_ABI {

namespace detail {

/// The divergence of one row; its gradient times `scale` goes to `gradient`, which may be the row itself, unless that
/// is null.
template <Scalar T>
double divergence_row(const T* row, const T* goal, Index classes, double scale, T* gradient) {
  const auto logarithm = [&](const T* logits) {  // of Σ exp z
    const T largest = Eigen::Map<const Vector<T>>(logits, classes).maxCoeff();
    return largest + static_cast<T>(std::log(sum_of_exponentials<T>(logits, classes, largest, nullptr)));
  };
  const T shift = logarithm(row), goal_shift = logarithm(goal);
  constexpr Index block = 64;  // of which whole ones alone are computed, as in sum_of_exponentials
  Eigen::Array<T, block, 1> student, teacher, share;
  Eigen::Array<double, block, 1> sums = Eigen::Array<double, block, 1>::Zero();
  for (Index begin = 0; begin < classes; begin += block) {
    const Index count = std::min(block, classes - begin);
    const auto take = [&](const T* logits, T its_shift, Eigen::Array<T, block, 1>& to) {  // log-probabilities
      std::copy_n(logits + begin, count, to.data());
      std::fill(to.data() + count, to.data() + block, its_shift);
      to -= its_shift;
    };
    take(row, shift, student);
    take(goal, goal_shift, teacher);
    share = teacher.exp();
    sums += share.template cast<double>() * (teacher - student).template cast<double>();  // what fills up differs by 0
    if (gradient == nullptr) continue;
    share = static_cast<T>(scale) * (student.exp() - share);
    std::copy_n(share.data(), count, gradient + begin);
  }
  return sums.sum();
}

template <Scalar T>
void require_goal(const ConstMatrixRef<T>& logits, const ConstMatrixRef<T>& goal) {
  require_shape("goal", goal.rows(), goal.cols(), logits.rows(), logits.cols());
}

}  // namespace detail

/// Kullback–Leibler divergence KL(p ‖ q) = Σ_j p_j·(log p_j − log q_j) of each row, p = softmax(goal) and
/// q = softmax(logits): what knowledge distillation (Hinton et al. 2015, arXiv 1503.02531) trains a student by, at a
/// temperature of 1. Rows are independent, as with `cross_entropy`. Logits are finite: what is not makes a row's loss
/// NaN. A loss near 0 may be negative by rounding.
/// @param logits rows × classes; @param goal the teacher's, rows × classes
/// @return sum over the rows, each of which weighs 1. @throws Error shape_mismatch
template <Scalar T>
[[nodiscard]] LossSum divergence(const ConstMatrixRef<T>& logits, const ConstMatrixRef<T>& goal) {
  detail::require_goal<T>(logits, goal);
  LossSum sum;
  for (Index i = 0; i < logits.rows(); ++i) {
    sum += {detail::divergence_row<T>(logits.data() + i * logits.outerStride(), goal.data() + i * goal.outerStride(),
                                      logits.cols(), 1, nullptr),
            1};
  }
  return sum;
}

/// As above, and the gradient of the sum with respect to the logits, times `scale`, takes their place.
template <Scalar T>
LossSum divergence_gradient(MatrixRef<T> logits, const ConstMatrixRef<T>& goal, double scale) {
  detail::require_goal<T>(logits, goal);
  LossSum sum;
  for (Index i = 0; i < logits.rows(); ++i) {
    T* const row = logits.data() + i * logits.outerStride();
    sum += {detail::divergence_row<T>(row, goal.data() + i * goal.outerStride(), logits.cols(), scale, row), 1};
  }
  return sum;
}

}  // namespace linformer::inline LINFORMER_ABI
