#pragma once

#include <linformer/io/dtype.hpp>

#include <bit>
#include <cstdint>
#include <cstring>
#include <span>

namespace linformer::inline LINFORMER_ABI {

static_assert(std::endian::native == std::endian::little, "safetensors files hold little-endian values, read in place");

/// Whether `convert_values` reads elements of this type.
[[nodiscard]] constexpr bool is_floating_point(Dtype dtype) {
  return dtype == Dtype::f32 || dtype == Dtype::f64 || dtype == Dtype::f16 || dtype == Dtype::bf16;
}

namespace detail {

/// The value of an IEEE 754 binary16, exactly; a NaN keeps its sign and payload.
[[nodiscard]] constexpr float half_value(std::uint16_t bits) {
  const std::uint32_t sign = (bits & 0x8000U) << 16, exponent = bits >> 10 & 0x1FU, fraction = bits & 0x3FFU;
  if (exponent == 0) {  // zero, or a denormal: the fraction in units of 2^-24
    const float magnitude = static_cast<float>(fraction) * 0x1p-24F;
    return sign == 0 ? magnitude : -magnitude;
  }
  const std::uint32_t wide_exponent = exponent == 0x1F ? 0xFF : exponent + (127 - 15);
  return std::bit_cast<float>(sign | wide_exponent << 23 | fraction << 13);
}

/// The value of a bfloat16: the upper half of a float.
[[nodiscard]] constexpr float bfloat16_value(std::uint16_t bits) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16);
}

/// out[i] = value(word i of bytes). The words may lie at any address.
template <class Word, class T, class Value>
void convert_words(std::span<const std::byte> bytes, std::span<T> out, const Value& value) {
  for (std::size_t i = 0; i < out.size(); ++i) {
    Word word;
    std::memcpy(&word, bytes.data() + i * sizeof(Word), sizeof(Word));
    out[i] = static_cast<T>(value(word));
  }
}

/// Reads `out.size()` elements of a type that `is_floating_point`. Exact, except that F64 read as `float` is rounded to
/// nearest, and to infinity beyond the range of `float`.
template <Scalar T>
void convert_values(Dtype dtype, std::span<const std::byte> bytes, std::span<T> out) {
  const auto same = [](auto value) { return value; };
  switch (dtype) {
    case Dtype::f32:
      return convert_words<float>(bytes, out, same);
    case Dtype::f64:
      return convert_words<double>(bytes, out, same);
    case Dtype::f16:
      return convert_words<std::uint16_t>(bytes, out, half_value);
    default:
      return convert_words<std::uint16_t>(bytes, out, bfloat16_value);
  }
}

}  // namespace detail

}  // namespace linformer::inline LINFORMER_ABI
