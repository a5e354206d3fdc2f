#pragma once

#include <linformer/core/thread_pool.hpp>
#include <linformer/train/parameter_list.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>

namespace linformer::inline LINFORMER_ABI {

namespace detail {

/// Σ x² in eight partial sums, which compilers keep in vectors.
template <Scalar T>
[[nodiscard]] double sum_of_squares(std::span<const T> values) {
  constexpr std::size_t lanes = 8;
  std::array<double, lanes> sums{};
  std::size_t i = 0;
  for (; i + lanes <= values.size(); i += lanes) {
    for (std::size_t lane = 0; lane < lanes; ++lane) {
      const auto value = static_cast<double>(values[i + lane]);
      sums[lane] += value * value;
    }
  }
  for (std::size_t lane = 0; i < values.size(); ++i, ++lane) {
    const auto value = static_cast<double>(values[i]);
    sums[lane] += value * value;
  }
  return ((sums[0] + sums[1]) + (sums[2] + sums[3])) + ((sums[4] + sums[5]) + (sums[6] + sums[7]));
}

}  // namespace detail

/// What `gradient_norm` keeps between calls, so that they need not allocate.
template <Scalar T>
struct GradientNormScratch {
  ParameterValues<const T> values;
  std::vector<double> sums;
};

/// The Euclidean norm of all values of a module. Sums run in double over fixed cuts and are added in the order of the
/// traversal: any number of threads gives the same bits. It is finite exactly if all values are, values of `double`
/// beyond 1e150 aside, whose squares overflow.
template <Scalar T, class Module>
[[nodiscard]] double gradient_norm(const Module& gradients, ThreadPool& pool, GradientNormScratch<T>& scratch) {
  scratch.values.assign(gradients);
  const auto& cuts = scratch.values.cuts();
  scratch.sums.resize(cuts.size());
  pool.run(static_cast<Index>(cuts.size()), [&](Index task, Index /*worker*/) {
    const auto at = static_cast<std::size_t>(task);
    scratch.sums[at] = detail::sum_of_squares<T>(scratch.values[cuts[at]]);
  });
  double sum = 0;
  for (const double each : scratch.sums) sum += each;
  return std::sqrt(sum);
}
template <Scalar T, class Module>
[[nodiscard]] double gradient_norm(const Module& gradients, ThreadPool& pool) {
  GradientNormScratch<T> scratch;
  return gradient_norm<T>(gradients, pool, scratch);
}

/// What gradients of this norm are multiplied by so that their norm does not exceed `max_norm`, as
/// torch.nn.utils.clip_grad_norm_: min(1, max_norm / (norm + 1e-6)); an infinite `max_norm` clips nothing. NaN for a
/// norm of NaN: ask std::isfinite(norm) first, since no factor mends a gradient that is not finite.
[[nodiscard]] inline double clip_factor(double norm, double max_norm) {
  const double factor = max_norm / (norm + 1e-6);
  return factor > 1 ? 1 : factor;
}

/// The name of the first parameter with a NaN or an infinity, for a message about a norm that is not finite.
template <Scalar T, class Module>
[[nodiscard]] std::optional<std::string> first_non_finite(const Module& module) {
  std::optional<std::string> found;
  module.for_each_parameter([&](const std::string& name, Shape, std::span<const T> values) {
    if (found) return;
    if (!std::all_of(values.begin(), values.end(), [](T value) { return std::isfinite(value); })) found = name;
  });
  return found;
}

}  // namespace linformer::inline LINFORMER_ABI
