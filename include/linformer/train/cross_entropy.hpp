#pragma once

#include <linformer/core/matrix.hpp>
#include <linformer/train/loss_sum.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>

namespace linformer::inline LINFORMER_ABI {

/// How the losses of rows are formed and weighted.
template <Scalar T>
struct CrossEntropyOptions {
  double smoothing = 0;                   ///< ε of label smoothing, 0 ≤ ε ≤ 1
  std::span<const T> class_weights = {};  ///< w, at least 0, one a class; empty for ones
  Index first_row = 0;                    ///< of a tile, by which errors name rows
};

namespace detail {

template <Scalar T>
void check_cross_entropy(Index rows, Index classes, std::span<const std::int32_t> labels,
                         const CrossEntropyOptions<T>& options) {
  require(options.smoothing >= 0 && options.smoothing <= 1, ErrorCode::invalid_configuration, "smoothing", "0 to 1",
          std::to_string(options.smoothing));
  require_shape("labels", static_cast<Index>(labels.size()), 1, rows, 1);
  if (!options.class_weights.empty()) {
    require_shape("class weights", static_cast<Index>(options.class_weights.size()), 1, classes, 1);
  }
  for (Index i = 0; i < rows; ++i) {
    const std::int32_t label = labels[static_cast<std::size_t>(i)];
    if (label >= 0 && label < classes) continue;
    throw Error(ErrorCode::out_of_range, "label of row " + std::to_string(options.first_row + i),
                "0 to " + std::to_string(classes - 1), std::to_string(label));
  }
}

/// Σ exp(z_j − maximum) of a row, whose terms go to `terms` unless that is null. Whole blocks alone are computed, so
/// that a value's bits depend neither on its place in memory nor on how many follow it.
template <Scalar T>
double sum_of_exponentials(const T* row, Index classes, T maximum, T* terms) {
  constexpr Index block = 64;
  Eigen::Array<T, block, 1> values;
  Eigen::Array<double, block, 1> sums = Eigen::Array<double, block, 1>::Zero();
  for (Index begin = 0; begin < classes; begin += block) {
    const Index count = std::min(block, classes - begin);
    std::copy_n(row + begin, count, values.data());
    std::fill(values.data() + count, values.data() + block, maximum);
    values = (values - maximum).exp();
    if (terms != nullptr) std::copy_n(values.data(), count, terms + begin);
    std::fill(values.data() + count, values.data() + block, T{0});
    sums += values.template cast<double>();
  }
  return sums.sum();
}

/// The loss of one row; its gradient times `scale` goes to `gradient`, which may be the row itself, unless that is
/// null.
template <Scalar T>
LossSum cross_entropy_row(const T* row, Index classes, std::int32_t label, const CrossEntropyOptions<T>& options,
                          double scale, T* gradient) {
  const T* const weights = options.class_weights.empty() ? nullptr : options.class_weights.data();
  const double weight = weights != nullptr ? static_cast<double>(weights[label]) : 1;
  const T largest = Eigen::Map<const Vector<T>>(row, classes).maxCoeff();
  const auto maximum = static_cast<double>(largest);
  // The row's target: t_j = (1 − ε)·w_y·[j = y] + ε/C·w_j, of sum `mass`. The loss is Σ_j t_j·(log Σ exp z − z_j).
  const double on_label = (1 - options.smoothing) * weight, on_each = options.smoothing / static_cast<double>(classes);
  double mass = on_label, loss = on_label * (maximum - static_cast<double>(row[label]));
  if (on_each > 0) {
    for (Index j = 0; j < classes; ++j) {
      const double t = weights != nullptr ? on_each * static_cast<double>(weights[j]) : on_each;
      mass += t;
      loss += t * (maximum - static_cast<double>(row[j]));
    }
  }
  const double sum = sum_of_exponentials(row, classes, largest, gradient);
  if (gradient != nullptr) {
    const T on_term = static_cast<T>(scale * mass / sum);
    const T from_each = static_cast<T>(scale * on_each);
    if (from_each == 0) {
      for (Index j = 0; j < classes; ++j) gradient[j] *= on_term;
    } else if (weights == nullptr) {
      for (Index j = 0; j < classes; ++j) gradient[j] = gradient[j] * on_term - from_each;
    } else {
      for (Index j = 0; j < classes; ++j) gradient[j] = gradient[j] * on_term - from_each * weights[j];
    }
    gradient[label] -= static_cast<T>(scale * on_label);
  }
  return {loss + mass * std::log(sum), weight};
}

}  // namespace detail

/// Softmax cross-entropy with PyTorch's label smoothing (Szegedy et al. 2016, arXiv 1512.00567) and class weights: a
/// row of logits z with label y loses (1 − ε)·w_y·l_y + ε/C·Σ_j w_j·l_j, l_j = log Σ exp z − z_j, and weighs w_y, so
/// that `mean()` is torch.nn.functional.cross_entropy. Rows are independent: tiles of rows give the same gradients, and
/// losses that add up to the same but for the rounding of a sum in double. A NaN or +∞ among a row's logits makes its
/// loss NaN.
/// @param logits rows × classes
/// @param labels one a row
/// @return sum of losses and of weights over the rows
/// @throws Error out_of_range for a label that is no class, naming the row; shape_mismatch; invalid_configuration
template <Scalar T>
[[nodiscard]] LossSum cross_entropy(const ConstMatrixRef<T>& logits, std::span<const std::int32_t> labels,
                                    const CrossEntropyOptions<T>& options = {}) {
  detail::check_cross_entropy(logits.rows(), logits.cols(), labels, options);
  LossSum sum;
  for (Index i = 0; i < logits.rows(); ++i) {
    sum += detail::cross_entropy_row<T>(logits.data() + i * logits.outerStride(), logits.cols(),
                                        labels[static_cast<std::size_t>(i)], options, 1, nullptr);
  }
  return sum;
}

/// As above, and the gradient of the sum of losses with respect to the logits, times `scale`, takes their place. Where
/// it throws, the logits are as they were.
template <Scalar T>
LossSum cross_entropy_gradient(MatrixRef<T> logits, std::span<const std::int32_t> labels, double scale,
                               const CrossEntropyOptions<T>& options = {}) {
  detail::check_cross_entropy(logits.rows(), logits.cols(), labels, options);
  LossSum sum;
  for (Index i = 0; i < logits.rows(); ++i) {
    T* const row = logits.data() + i * logits.outerStride();
    sum += detail::cross_entropy_row<T>(row, logits.cols(), labels[static_cast<std::size_t>(i)], options, scale, row);
  }
  return sum;
}

}  // namespace linformer::inline LINFORMER_ABI
