#pragma once

#include <linformer/core/mapped_file.hpp>
#include <linformer/io/convert.hpp>
#include <linformer/io/safetensors_header.hpp>

#include <algorithm>

namespace linformer::inline LINFORMER_ABI {

/// A safetensors file, opened for reading: https://huggingface.co/docs/safetensors. Its header is read and checked
/// whole, by every rule in `SafetensorsError`; values are read from the map of the file when they are asked for, and
/// are not checked: NaN and infinity are values.
class SafetensorsFile {
 public:
  /// @throws Error file_access if the file cannot be read
  /// @throws SafetensorsFailure if it breaks a rule
  [[nodiscard]] static SafetensorsFile open(const std::string& path) {
    MappedFile file(path);
    const std::span<const std::byte> bytes = file.bytes();
    return {path, bytes, std::move(file)};
  }

  /// Of a whole file in memory that outlives the object. @param name for messages @throws SafetensorsFailure
  [[nodiscard]] static SafetensorsFile parse(std::string name, std::span<const std::byte> bytes) {
    return {std::move(name), bytes, std::nullopt};
  }

  /// The path, or the name given to `parse`.
  [[nodiscard]] const std::string& name() const noexcept { return name_; }
  /// In the order of their bytes in the file. Views are valid as long as this object, wherever it is moved.
  [[nodiscard]] const std::vector<SafetensorsTensor>& tensors() const noexcept { return header_.tensors; }
  [[nodiscard]] const std::map<std::string, std::string>& metadata() const noexcept { return header_.metadata; }

  /// The tensor of that name, or null.
  [[nodiscard]] const SafetensorsTensor* find(std::string_view name) const {
    const auto found = by_name_.find(name);
    return found == by_name_.end() ? nullptr : &header_.tensors[found->second];
  }

  /// The tensor of that name, known to be readable as floating-point values of that shape.
  /// @throws SafetensorsFailure missing_tensor, unreadable_dtype or shape_mismatch
  [[nodiscard]] const SafetensorsTensor& require(std::string_view name, Shape shape) const {
    const SafetensorsTensor* const tensor = find(name);
    if (tensor == nullptr) throw failure(SafetensorsError::missing_tensor, name, "a tensor", "none");
    if (!is_floating_point(tensor->dtype)) {
      throw failure(SafetensorsError::unreadable_dtype, name, "F32, F64, F16 or BF16",
                    std::string(dtype_name(tensor->dtype)));
    }
    if (!std::ranges::equal(shape, tensor->shape)) {
      throw failure(SafetensorsError::shape_mismatch, name, detail::shape_text(shape),
                    detail::printable(detail::shape_text(tensor->shape)));
    }
    return *tensor;
  }

  /// Reads the values of a tensor, row-major. Exact, except that F64 read as `float` is rounded to nearest, and to
  /// infinity beyond the range of `float`.
  /// @throws SafetensorsFailure missing_tensor, unreadable_dtype or shape_mismatch
  /// @throws Error shape_mismatch if `out` is not of as many values; nothing is written then
  template <Scalar T>
  void read(std::string_view name, Shape shape, std::span<T> out) const {
    const SafetensorsTensor& tensor = require(name, shape);
    const std::size_t count = tensor.bytes.size() / dtype_size(tensor.dtype);
    detail::require(
        out.size() == count, ErrorCode::shape_mismatch, detail::printable(name),
        [&] { return "room for " + std::to_string(count) + " values"; }, [&] { return std::to_string(out.size()); });
    detail::convert_values(tensor.dtype, tensor.bytes, out);
  }

 private:
  SafetensorsFile(std::string name, std::span<const std::byte> bytes, std::optional<MappedFile> file)
      : name_(std::move(name)), file_(std::move(file)), header_(detail::parse_safetensors(name_, bytes)) {
    for (std::size_t i = 0; i < header_.tensors.size(); ++i) by_name_.emplace(header_.tensors[i].name, i);
  }

  [[nodiscard]] SafetensorsFailure failure(SafetensorsError rule, std::string_view tensor, std::string expected,
                                           std::string actual) const {
    return {rule, name_, tensor, std::move(expected), std::move(actual)};
  }

  std::string name_;
  std::optional<MappedFile> file_;
  detail::SafetensorsHeader header_;
  std::map<std::string_view, std::size_t> by_name_;  // views names in header_, which stay in place when it is moved
};

}  // namespace linformer::inline LINFORMER_ABI
