#pragma once

#include <linformer/core/matrix.hpp>
#include <linformer/parallel/part.hpp>

#include <cmath>
#include <vector>

namespace linformer::inline LINFORMER_ABI {

/// A vector for each position (Vaswani et al. 2017, Section 3.5): sines at even features, cosines at odd ones, of the
/// position times 10000^(−even/D). @param width D. @return a row for each position, × D
template <Scalar T>
[[nodiscard]] Matrix<T> sinusoidal_positions(Part positions, Index width) {
  Matrix<T> result(positions.size(), width);
  std::vector<double> wavelengths;  // over 2π
  for (Index j = 0; j < width; ++j) {
    wavelengths.push_back(std::pow(10000.0, static_cast<double>(j - j % 2) / static_cast<double>(width)));
  }
  for (Index position = positions.begin; position < positions.end; ++position) {
    for (Index j = 0; j < width; ++j) {
      const double angle = static_cast<double>(position) / wavelengths[static_cast<std::size_t>(j)];
      result(position - positions.begin, j) = static_cast<T>(j % 2 == 0 ? std::sin(angle) : std::cos(angle));
    }
  }
  return result;
}

}  // namespace linformer::inline LINFORMER_ABI
