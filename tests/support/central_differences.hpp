#pragma once

// Gradients against central differences in double precision.

#include <linformer/core/parameters.hpp>

#include "support/catch.hpp"

#include <cmath>
#include <span>
#include <string>

#ifdef NDEBUG
constexpr std::size_t checked_values_step = 1;
#else
constexpr std::size_t checked_values_step = 7;  // builds with assertions or sanitizers are slow: a sample there
#endif

/// Checks a gradient: (loss(v + ε) − loss(v − ε)) / 2ε of each value, its own error O(ε²) beside rounding of the loss,
/// which is u·|loss|/ε.
template <class Loss>
void check_values(const std::string& name, std::span<double> values, std::span<const double> gradient,
                  const Loss& loss) {
  constexpr double epsilon = 1e-6, absolute = 1e-8, relative = 1e-5;
  REQUIRE(values.size() == gradient.size());
  for (std::size_t i = 0; i < values.size(); i += checked_values_step) {
    const double kept = values[i];
    values[i] = kept + epsilon;
    const double above = loss();
    values[i] = kept - epsilon;
    const double below = loss();
    values[i] = kept;
    const double expected = (above - below) / (2 * epsilon);
    INFO(name << " at " << i << ": expected " << expected << ", got " << gradient[i]);
    REQUIRE(std::abs(expected - gradient[i]) <= absolute + relative * std::abs(expected));
  }
}

/// The same of every parameter of a module.
template <class Module, class Loss>
void check_parameters(Module& module, const Module& gradient, const Loss& loss) {
  std::vector<std::span<const double>> gradients;
  gradient.for_each_parameter(
      [&](const std::string&, linformer::Shape, std::span<const double> values) { gradients.push_back(values); });
  std::size_t next = 0;
  module.for_each_parameter([&](const std::string& name, linformer::Shape, std::span<double> values) {
    check_values(name, values, gradients.at(next++), loss);
  });
  REQUIRE(next == gradients.size());
}
