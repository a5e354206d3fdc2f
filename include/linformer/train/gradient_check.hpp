#pragma once

#include <linformer/core/uniform_below.hpp>
#include <linformer/train/parameter_list.hpp>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>

namespace linformer::inline LINFORMER_ABI {

struct GradientCheckConfig {
  double step = 1e-6;      ///< h of (f(x + h) − f(x − h)) / 2h
  double absolute = 1e-5;  ///< a difference to bear whatever the gradient
  double relative = 1e-5;  ///< a difference to bear as a part of the numeric gradient
  Index samples = 0;       ///< values checked of each parameter, 0 for all
  std::uint64_t seed = 0;  ///< of the choice
  std::size_t worst = 10;  ///< how many entries to tell
};

/// A derivative by two ways.
struct GradientDifference {
  std::string name;
  std::size_t index = 0;  ///< of the value in its parameter, row-major
  double analytic = 0, numeric = 0;
  double ratio = 0;  ///< |numeric − analytic| / (absolute + relative·|numeric|); infinite where either is not finite
};

struct GradientCheck {
  Index checked = 0;                      ///< derivatives compared
  Index failed = 0;                       ///< those of a ratio above 1
  std::vector<GradientDifference> worst;  ///< of the largest ratios, falling

  [[nodiscard]] bool passed() const noexcept { return checked > 0 && failed == 0; }
};

/// Compares a gradient with central differences of what it is the gradient of, in double.
/// @param module where the gradient was taken; a copy
/// @param function f(const Module&) → double
/// @param gradient traversed as the module is
/// @throws Error parameter_mismatch, and whatever the function throws
template <class Module, class Function, class Gradients>
[[nodiscard]] GradientCheck check_gradient(Module module, const Function& function, const Gradients& gradient,
                                           const GradientCheckConfig& config = {}) {
  const auto parameters = list_parameters<double>(module);
  const auto slopes = list_parameters<const double>(gradient);
  detail::require_same_parameters(parameters, "gradients", slopes);
  GradientCheck check;
  const auto compare = [&](const ParameterView<double>& parameter, std::size_t index, double analytic) {
    double& value = parameter.values[index];
    const double before = value, above = before + config.step, below = before - config.step;
    value = above;
    const double f_above = function(std::as_const(module));
    value = below;
    const double f_below = function(std::as_const(module));
    value = before;
    const double numeric = (f_above - f_below) / (above - below);  // the steps as they were rounded
    const double ratio = std::abs(numeric - analytic) / (config.absolute + config.relative * std::abs(numeric));
    check.worst.push_back({parameter.name, index, analytic, numeric,
                           std::isfinite(ratio) ? ratio : std::numeric_limits<double>::infinity()});
    ++check.checked;
    if (!(ratio <= 1)) ++check.failed;
  };
  for (std::size_t p = 0; p < parameters.size(); ++p) {
    const std::size_t size = parameters[p].values.size();
    const std::size_t count = config.samples > 0 ? std::min(size, static_cast<std::size_t>(config.samples)) : size;
    const RandomStream stream = RandomStream(config.seed).derive(parameters[p].name);
    for (std::size_t i = 0; i < count; ++i) {
      // One of each of `count` equal parts: spread over the parameter, and none twice.
      const std::size_t begin = i * size / count, end = (i + 1) * size / count;
      const auto words = stream.words(i);
      const std::size_t index = begin + static_cast<std::size_t>(uniform_below(words[0], words[1], end - begin));
      compare(parameters[p], index, slopes[p].values[index]);
    }
  }
  std::stable_sort(check.worst.begin(), check.worst.end(),
                   [](const GradientDifference& a, const GradientDifference& b) { return a.ratio > b.ratio; });
  check.worst.resize(std::min(check.worst.size(), config.worst));
  return check;
}

}  // namespace linformer::inline LINFORMER_ABI
