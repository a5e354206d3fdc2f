#pragma once

#include <linformer/core/matrix.hpp>

#include <cmath>
#include <cstddef>
#include <span>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace linformer::inline LINFORMER_ABI {

/// values[i] = √values[i], correctly rounded on every machine. Compilers take a loop of std::sqrt one value at a time,
/// for the sake of errno, and Eigen's root of floats is an approximation. Wider vectors than SSE2's are no faster.
template <Scalar T>
void square_roots(std::span<T> values) noexcept {
  std::size_t i = 0;
#if defined(__SSE2__)
  if constexpr (std::same_as<T, float>) {
    for (; i + 4 <= values.size(); i += 4) {
      _mm_storeu_ps(values.data() + i, _mm_sqrt_ps(_mm_loadu_ps(values.data() + i)));
    }
  } else {
    for (; i + 2 <= values.size(); i += 2) {
      _mm_storeu_pd(values.data() + i, _mm_sqrt_pd(_mm_loadu_pd(values.data() + i)));
    }
  }
#endif
  for (; i < values.size(); ++i) values[i] = std::sqrt(values[i]);
}

}  // namespace linformer::inline LINFORMER_ABI
