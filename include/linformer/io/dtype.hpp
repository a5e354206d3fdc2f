#pragma once

#include <linformer/core/matrix.hpp>

#include <array>
#include <concepts>
#include <cstddef>
#include <optional>
#include <string_view>

namespace linformer::inline LINFORMER_ABI {

/// The element types of safetensors files.
enum class Dtype { bool8, u8, i8, f8_e5m2, f8_e4m3, i16, u16, f16, bf16, i32, u32, f32, f64, i64, u64 };

namespace detail {

struct DtypeFacts {
  Dtype dtype;
  std::string_view name;
  std::size_t size;
};

/// In the order of the enumeration.
inline constexpr std::array<DtypeFacts, 15> dtype_facts{{{Dtype::bool8, "BOOL", 1},
                                                         {Dtype::u8, "U8", 1},
                                                         {Dtype::i8, "I8", 1},
                                                         {Dtype::f8_e5m2, "F8_E5M2", 1},
                                                         {Dtype::f8_e4m3, "F8_E4M3", 1},
                                                         {Dtype::i16, "I16", 2},
                                                         {Dtype::u16, "U16", 2},
                                                         {Dtype::f16, "F16", 2},
                                                         {Dtype::bf16, "BF16", 2},
                                                         {Dtype::i32, "I32", 4},
                                                         {Dtype::u32, "U32", 4},
                                                         {Dtype::f32, "F32", 4},
                                                         {Dtype::f64, "F64", 8},
                                                         {Dtype::i64, "I64", 8},
                                                         {Dtype::u64, "U64", 8}}};

}  // namespace detail

/// The name that safetensors files give it, such as "BF16".
[[nodiscard]] constexpr std::string_view dtype_name(Dtype dtype) {
  return detail::dtype_facts[static_cast<std::size_t>(dtype)].name;
}

/// Bytes of an element.
[[nodiscard]] constexpr std::size_t dtype_size(Dtype dtype) {
  return detail::dtype_facts[static_cast<std::size_t>(dtype)].size;
}

/// The type of that name, or nothing.
[[nodiscard]] constexpr std::optional<Dtype> dtype_of_name(std::string_view name) {
  for (const detail::DtypeFacts& facts : detail::dtype_facts) {
    if (facts.name == name) return facts.dtype;
  }
  return std::nullopt;
}

/// The type that holds a scalar of ours exactly.
template <Scalar T>
inline constexpr Dtype dtype_of = std::same_as<T, float> ? Dtype::f32 : Dtype::f64;

}  // namespace linformer::inline LINFORMER_ABI
