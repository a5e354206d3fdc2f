#pragma once

#include <linformer/pretrained/attention_heads.hpp>

#include <cmath>
#include <optional>
#include <span>
#include <vector>

namespace linformer::inline LINFORMER_ABI {

/// How far P̄·F·V is from P·V: sums over texts and heads, which add up.
struct ProjectionError {
  double error = 0;  ///< ‖P·V − P̄·F·V‖² (Frobenius)
  double size = 0;   ///< ‖P·V‖²

  ProjectionError& operator+=(const ProjectionError& other) {
    error += other.error;
    size += other.size;
    return *this;
  }

  /// ‖P·V − P̄·F·V‖/‖P·V‖; 0 of nothing.
  [[nodiscard]] double relative() const { return size > 0 ? std::sqrt(error / size) : 0; }
  /// The share of ‖P·V‖² that is kept: 1 − `relative`². Below 0 where zeros would be closer than the projection.
  [[nodiscard]] double kept() const { return size > 0 ? 1 - error / size : 1; }
};

/// Adds what projections do to one layer's attention of one text to the errors of its heads.
/// @throws Error as `AttentionHeads::projected`
template <Scalar T>
void add_projection_errors(const AttentionHeads<T>& layers, const LayerAttention<T>& attention,
                           const ProjectionSet<T>& projections, std::span<ProjectionError> heads,
                           const Execution& execution) {
  const Matrix<T> projected = layers.projected(attention, projections, execution);
  const Index width = projected.cols() / static_cast<Index>(heads.size());
  for (std::size_t head = 0; head < heads.size(); ++head) {
    const auto of = [&](const Matrix<T>& all) -> Matrix<double> {
      return all.middleCols(static_cast<Index>(head) * width, width).template cast<double>();
    };
    const Matrix<double> original = of(attention.output);
    heads[head] += {(original - of(projected)).squaredNorm(), original.squaredNorm()};
  }
}

/// Sums over the heads that have one k: L·h of them without sharing, L where the heads of a layer share their
/// projections, 1 with layerwise sharing, in the order of `ProjectedLength`.
/// @param of_heads L·h sums, layer by layer. @throws Error shape_mismatch if they are no multiple of h
template <class Sum>
[[nodiscard]] std::vector<Sum> sums_by_length(std::span<const Sum> of_heads, Index heads, Sharing sharing) {
  const std::size_t group = sharing == Sharing::none        ? 1
                            : sharing == Sharing::layerwise ? of_heads.size()
                                                            : static_cast<std::size_t>(heads);
  detail::require(heads >= 1 && of_heads.size() % static_cast<std::size_t>(heads) == 0, ErrorCode::shape_mismatch,
                  "sums", "one for each layer and head, of " + std::to_string(heads) + " heads",
                  std::to_string(of_heads.size()));
  std::vector<Sum> result;
  for (std::size_t i = 0; i < of_heads.size(); ++i) {
    if (i % group == 0) {
      result.push_back(of_heads[i]);
    } else {
      result.back() += of_heads[i];
    }
  }
  return result;
}

/// The smallest of some projected lengths whose `kept` is at least a share, if one is.
/// @param errors of each of the lengths. @throws Error shape_mismatch; out_of_range for a share beyond [0, 1]
[[nodiscard]] inline std::optional<Index> smallest_length(std::span<const Index> lengths,
                                                          std::span<const ProjectionError> errors, double share) {
  detail::require(share >= 0 && share <= 1, ErrorCode::out_of_range, "share", "0 to 1", std::to_string(share));
  detail::require(lengths.size() == errors.size(), ErrorCode::shape_mismatch, "errors",
                  "one for each of " + std::to_string(lengths.size()) + " lengths", std::to_string(errors.size()));
  std::optional<Index> result;
  for (std::size_t i = 0; i < lengths.size(); ++i) {
    if (errors[i].kept() >= share && (!result || lengths[i] < *result)) result = lengths[i];
  }
  return result;
}

}  // namespace linformer::inline LINFORMER_ABI
