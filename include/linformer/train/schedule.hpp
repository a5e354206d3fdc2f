#pragma once

#include <linformer/core/error.hpp>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numbers>

namespace linformer::inline LINFORMER_ABI {

/// What the learning rate does after the warm-up.
enum class ScheduleKind {
  constant,  ///< stays at its peak
  linear,    ///< falls to zero in a line, as Hugging Face's get_linear_schedule_with_warmup
  cosine,    ///< falls to zero in half a cosine, as get_cosine_schedule_with_warmup
};

/// A learning rate for each step. The warm-up rises in a line from 0.
struct Schedule {
  ScheduleKind kind = ScheduleKind::linear;
  double peak = 1e-4;             ///< learning rate at the end of the warm-up
  std::int64_t warmup_steps = 0;  ///< steps below the peak
  std::int64_t total_steps = 0;   ///< steps until zero, the warm-up among them; `constant` ignores it

  /// The rate of the step that follows `step` others. The first step of a warm-up therefore has rate 0, as in Hugging
  /// Face; from `total_steps` on it is 0. The cosine is libm's, everything else the same on every machine.
  /// @throws Error invalid_configuration for negative steps or a warm-up longer than the whole
  [[nodiscard]] double learning_rate(std::int64_t step) const {
    detail::require(warmup_steps >= 0 && step >= 0, ErrorCode::invalid_configuration, "schedule", "steps of at least 0",
                    std::to_string(std::min(warmup_steps, step)));
    detail::require(
        kind == ScheduleKind::constant || warmup_steps <= total_steps, ErrorCode::invalid_configuration, "warmup_steps",
        [&] { return "at most total_steps = " + std::to_string(total_steps); },
        [&] { return std::to_string(warmup_steps); });
    if (step < warmup_steps) return peak * (static_cast<double>(step) / static_cast<double>(warmup_steps));
    if (kind == ScheduleKind::constant) return peak;
    if (step >= total_steps) return 0;
    const auto left = static_cast<double>(total_steps - step), all = static_cast<double>(total_steps - warmup_steps);
    if (kind == ScheduleKind::linear) return peak * (left / all);
    return peak * (0.5 * (1 + std::cos(std::numbers::pi * (static_cast<double>(step - warmup_steps) / all))));
  }
};

}  // namespace linformer::inline LINFORMER_ABI
