#pragma once

#include <linformer/parallel/rank_grid.hpp>
#include <linformer/train/gradient_norm.hpp>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

namespace linformer::inline LINFORMER_ABI {

// What a training step asks of gradients where processes hold parts of the same sequences (`EncoderOptions::sequence`).
// Weights that all processes hold have a part of their gradient in each; columns of E and F, and rows of a table of
// positions, of which each process of a row holds its own, are summed over processes that hold the same ones alone.

namespace detail {

/// Calls f(values, partial) for each parameter.
template <Scalar T, class Module, class Visitor>
void for_each_gradient(Module& gradient, const Visitor& f) {
  const std::vector<std::string> partial = gradient.partial_parameters();
  gradient.for_each_parameter([&](const std::string& name, Shape, auto values) {
    f(values, std::ranges::find(partial, name) != partial.end());
  });
}

}  // namespace detail

/// The gradients of this process become those of all. @param gradient a model's, or a layer's
template <Scalar T, class Module, World W>
void sum_gradients(Module& gradient, RankGrid<W>& grid) {
  detail::for_each_gradient<T>(
      gradient, [&](std::span<T> values, bool partial) { (partial ? grid.same_part : grid.all).sum(values); });
}

/// The norm of such sums, of all parameters with each part of them once: the same in every process.
template <Scalar T, class Module, World W>
[[nodiscard]] double gradient_norm(const Module& gradient, RankGrid<W>& grid) {
  double whole = 0, part[] = {0};
  detail::for_each_gradient<T>(gradient, [&](std::span<const T> values, bool partial) {
    (partial ? part[0] : whole) += detail::sum_of_squares<T>(values);
  });
  grid.sequence.sum(std::span<double>(part));
  return std::sqrt(whole + part[0]);
}

}  // namespace linformer::inline LINFORMER_ABI
