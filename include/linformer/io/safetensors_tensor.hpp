#pragma once

#include <linformer/io/dtype.hpp>
#include <linformer/io/safetensors_error.hpp>

#include <linformer/core/parameters.hpp>

#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace linformer::inline LINFORMER_ABI {

/// One tensor of a safetensors file, read or to be written: a view of its values, row-major and little-endian.
struct SafetensorsTensor {
  std::string name;
  Dtype dtype = Dtype::f32;
  std::vector<Index> shape;          ///< outermost first; empty for a scalar
  std::span<const std::byte> bytes;  ///< at any alignment
};

/// A view of `values` to be written.
template <Scalar T>
[[nodiscard]] SafetensorsTensor safetensors_tensor(std::string name, Shape shape, std::span<const T> values) {
  return {std::move(name), dtype_of<T>, {shape.begin(), shape.end()}, std::as_bytes(values)};
}

namespace detail {

/// "[3, 5]"
inline std::string shape_text(Shape shape) {
  std::string text;
  for (const Index size : shape) text += (text.empty() ? "" : ", ") + std::to_string(size);
  return "[" + text + "]";
}

/// Bytes of a tensor, or nothing where they cannot be counted. A size of zero does not hide an overflow, so that the
/// sizes can be multiplied in any order.
inline std::optional<std::uint64_t> byte_count(Dtype dtype, Shape shape) {
  constexpr auto limit = static_cast<std::uint64_t>(std::numeric_limits<Index>::max());
  std::uint64_t bytes = dtype_size(dtype);
  bool empty = false;
  for (const Index size : shape) {
    if (size == 0) empty = true;
    if (size > 1 && bytes > limit / static_cast<std::uint64_t>(size)) return std::nullopt;
    if (size > 1) bytes *= static_cast<std::uint64_t>(size);
  }
  return empty ? 0 : bytes;
}

/// @throws SafetensorsFailure size_overflow or size_mismatch unless `bytes` bytes hold the tensor
inline void require_byte_count(const std::string& file, const SafetensorsTensor& tensor, std::uint64_t bytes) {
  const auto needed = byte_count(tensor.dtype, tensor.shape);
  if (!needed) {
    throw SafetensorsFailure(SafetensorsError::size_overflow, file, tensor.name, "a size that can be addressed",
                             printable(shape_text(tensor.shape)));
  }
  if (*needed != bytes) {
    throw SafetensorsFailure(SafetensorsError::size_mismatch, file, tensor.name,
                             std::to_string(*needed) + " bytes for " + std::string(dtype_name(tensor.dtype)) + " " +
                                 printable(shape_text(tensor.shape)),
                             std::to_string(bytes) + " bytes");
  }
}

}  // namespace detail

}  // namespace linformer::inline LINFORMER_ABI
