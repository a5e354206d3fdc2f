#pragma once

#include <linformer/core/thread_pool.hpp>
#include <linformer/kernels/square_root.hpp>
#include <linformer/train/parameter_list.hpp>

#include <array>
#include <cmath>
#include <cstdint>
#include <functional>

namespace linformer::inline LINFORMER_ABI {

/// What does not change from step to step; PyTorch's defaults.
struct AdamWConfig {
  double beta1 = 0.9;    ///< decay of the mean of gradients, 0 ≤ β₁ < 1
  double beta2 = 0.999;  ///< decay of the mean of their squares, 0 ≤ β₂ < 1
  double epsilon = 1e-8;
  double weight_decay = 0.01;  ///< decoupled: times the learning rate
};

/// Whether a parameter decays.
using DecayRule = std::function<bool(const std::string& name, Shape shape)>;

/// Matrices decay; biases, and scales and shifts of norms, do not.
[[nodiscard]] inline bool decays_unless_vector(const std::string& /*name*/, Shape shape) { return shape.size() > 1; }

namespace detail {

/// base^exponent by squaring: no libm, so the same on every machine.
[[nodiscard]] constexpr double power(double base, std::uint64_t exponent) noexcept {
  double result = 1;
  for (; exponent != 0; exponent /= 2, base *= base) {
    if (exponent % 2 == 1) result *= base;
  }
  return result;
}

/// The factors of one step, as the values' scalar.
template <Scalar T>
struct AdamWFactors {
  T gradient_scale, towards_gradient, beta2, towards_square, root_correction, epsilon, step_size;
};

/// One step of a run of values. @param kept 1 − learning rate · weight decay
template <Scalar T>
void adamw_step(const AdamWFactors<T>& f, T kept, std::span<T> parameters, std::span<const T> gradients,
                std::span<T> first, std::span<T> second) {
  constexpr std::size_t block = 256;
  alignas(64) std::array<T, block> roots;
  for (std::size_t begin = 0; begin < parameters.size(); begin += block) {
    const std::size_t count = std::min(block, parameters.size() - begin);
    T* const p = parameters.data() + begin;
    const T* const g = gradients.data() + begin;
    T* const m = first.data() + begin;
    T* const v = second.data() + begin;
    for (std::size_t i = 0; i < count; ++i) {
      const T gradient = g[i] * f.gradient_scale;
      m[i] += (gradient - m[i]) * f.towards_gradient;
      roots[i] = v[i] = v[i] * f.beta2 + gradient * gradient * f.towards_square;
    }
    square_roots(std::span<T>(roots.data(), count));
    for (std::size_t i = 0; i < count; ++i) {
      p[i] = p[i] * kept - f.step_size * m[i] / (roots[i] / f.root_correction + f.epsilon);
    }
  }
}

}  // namespace detail

/// Adam with decoupled weight decay (Loshchilov and Hutter 2019, arXiv 1711.05101), as torch.optim.AdamW: with the
/// step's number t, learning rate η and decay λ,
///     p ← p·(1 − η·λ);  m ← m + (g − m)·(1 − β₁);  v ← β₂·v + (1 − β₂)·g²;
///     p ← p − η/(1 − β₁ᵗ) · m / (√v/√(1 − β₂ᵗ) + ε).
/// Factors are computed in double and rounded to the parameters' scalar. A step treats each value alone, in cuts that
/// depend on sizes alone: any number of threads gives the same bits. The state is two values a parameter and the number
/// of steps; what is saved of it and read back goes on with the same bits.
template <Scalar T>
class AdamW {
 public:
  /// State for the parameters of `module`, all zero. @param decays asked once for every parameter
  /// @throws Error invalid_configuration
  template <class Module>
  explicit AdamW(const Module& module, AdamWConfig config = {}, const DecayRule& decays = decays_unless_vector)
      : config_(config) {
    const auto check = [](const char* name, double value, bool holds, const char* expected) {
      detail::require(holds, ErrorCode::invalid_configuration, name, expected, std::to_string(value));
    };
    check("beta1", config.beta1, config.beta1 >= 0 && config.beta1 < 1, "at least 0 and below 1");
    check("beta2", config.beta2, config.beta2 >= 0 && config.beta2 < 1, "at least 0 and below 1");
    check("epsilon", config.epsilon, config.epsilon >= 0, "at least 0");
    check("weight decay", config.weight_decay, config.weight_decay >= 0, "at least 0");
    module.for_each_parameter([&](const std::string& name, Shape shape, std::span<const T> values) {
      const auto size = static_cast<Index>(values.size());
      moments_.push_back(
          {name, {shape.begin(), shape.end()}, decays(name, shape), Vector<T>::Zero(size), Vector<T>::Zero(size)});
    });
  }

  /// One step. @param gradients traversed as the parameters are: their own module's type, or one of the same names
  /// @param gradient_scale times every gradient, where clipping or a mean over micro-batches asks for it
  /// @throws Error parameter_mismatch, before anything has changed
  template <class Module, class Gradients>
  void step(Module& parameters, const Gradients& gradients, double learning_rate, ThreadPool& pool,
            double gradient_scale = 1) {
    const auto take = [&](const char* what, auto& module, auto& values) {
      values.assign(module, [&](std::size_t i, const ParameterName& name, Shape shape) {
        detail::require_parameter(moments_, what, i, name, shape);
      });
      detail::require_all_parameters(moments_, what, values.size());
    };
    take("parameters", parameters, parameters_);
    take("gradients", gradients, gradients_);
    const auto& cuts = parameters_.cuts();
    ++steps_;
    const double correction1 = 1 - detail::power(config_.beta1, steps_);
    const double correction2 = 1 - detail::power(config_.beta2, steps_);
    const detail::AdamWFactors<T> factors{
        .gradient_scale = static_cast<T>(gradient_scale),
        .towards_gradient = static_cast<T>(1 - config_.beta1),
        .beta2 = static_cast<T>(config_.beta2),
        .towards_square = static_cast<T>(1 - config_.beta2),
        .root_correction = static_cast<T>(std::sqrt(correction2)),
        .epsilon = static_cast<T>(config_.epsilon),
        .step_size = static_cast<T>(learning_rate / correction1),
    };
    const T kept = static_cast<T>(1 - learning_rate * config_.weight_decay);
    pool.run(static_cast<Index>(cuts.size()), [&](Index task, Index /*worker*/) {
      const ParameterCut& cut = cuts[static_cast<std::size_t>(task)];
      Moments& moments = moments_[cut.parameter];
      detail::adamw_step<T>(factors, moments.decays ? kept : T{1}, parameters_[cut], gradients_[cut],
                            part(span_of(moments.first), cut), part(span_of(moments.second), cut));
    });
  }

  /// Steps taken, which is part of the state.
  [[nodiscard]] std::uint64_t steps() const noexcept { return steps_; }
  void set_steps(std::uint64_t steps) noexcept { steps_ = steps; }
  [[nodiscard]] const AdamWConfig& config() const noexcept { return config_; }

  /// The rest of the state, in the shapes of the parameters: m of each as `exp_avg.<name>`, then v of each as
  /// `exp_avg_sq.<name>`.
  void for_each_parameter(const ParameterVisitor<T>& visitor) { visit(*this, visitor); }
  void for_each_parameter(const ParameterVisitor<const T>& visitor) const { visit(*this, visitor); }

 private:
  struct Moments {
    std::string name;
    std::vector<Index> shape;
    bool decays;
    Vector<T> first, second;
  };

  template <class Values>
  static auto span_of(Values& values) {
    return std::span(values.data(), static_cast<std::size_t>(values.size()));
  }
  template <class Value>
  static std::span<Value> part(std::span<Value> values, const ParameterCut& cut) {
    return values.subspan(cut.begin, cut.count);
  }

  template <class Self, class Value>
  static void visit(Self& self, const ParameterVisitor<Value>& visitor) {
    for (auto& moments : self.moments_)
      visitor("exp_avg." + moments.name, Shape(moments.shape), span_of(moments.first));
    for (auto& moments : self.moments_) {
      visitor("exp_avg_sq." + moments.name, Shape(moments.shape), span_of(moments.second));
    }
  }

  AdamWConfig config_;
  std::uint64_t steps_ = 0;
  std::vector<Moments> moments_;
  ParameterValues<T> parameters_;  // of the step that is being taken
  ParameterValues<const T> gradients_;
};

}  // namespace linformer::inline LINFORMER_ABI
