#pragma once

#include <linformer/core/random.hpp>

namespace linformer::inline LINFORMER_ABI {

/// A whole number in [0, n) from two random words, n from 1 to 2^32: floor(w·n / 2^64) of the 64-bit number w that they
/// make up. A value's probability is within 2^-64 of 1/n.
[[nodiscard]] constexpr std::uint64_t uniform_below(std::uint32_t high, std::uint32_t low, std::uint64_t n) noexcept {
  eigen_assert(n >= 1 && n <= std::uint64_t{1} << 32);
  return (high * n + (low * n >> 32)) >> 32;
}

}  // namespace linformer::inline LINFORMER_ABI
