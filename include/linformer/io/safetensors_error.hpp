#pragma once

#include <linformer/io/printable.hpp>

#include <linformer/core/error.hpp>

#include <string>
#include <string_view>

namespace linformer::inline LINFORMER_ABI {

/// The rules of a safetensors file, each named by its breach.
enum class SafetensorsError {
  // The file: 8 bytes with the header's length, the header, the data.
  file_too_short,      ///< fewer than 8 bytes
  header_too_long,     ///< a header of more than 100,000,000 bytes
  header_beyond_file,  ///< a header that ends beyond the file
  // The header: one JSON object, then nothing but spaces.
  header_not_object,  ///< does not begin with '{'
  invalid_utf8,       ///< not UTF-8
  invalid_json,       ///< not JSON
  trailing_bytes,     ///< something other than spaces after the object
  nesting_too_deep,   ///< an array or object inside a shape or data_offsets, the deepest level
  duplicate_key,      ///< a key twice in one object
  invalid_metadata,   ///< `__metadata__` is not an object of strings
  // A tensor: an object of dtype, shape and data_offsets.
  tensor_not_object,    ///< something else
  missing_field,        ///< lacks one of the three
  unknown_field,        ///< has a fourth
  unknown_dtype,        ///< a dtype that is not one of the format's
  invalid_shape,        ///< a shape that is not an array of non-negative integers
  invalid_offsets,      ///< data_offsets that are not an array of two non-negative integers
  offsets_reversed,     ///< ends before it begins
  offsets_beyond_data,  ///< ends beyond the file
  size_overflow,        ///< a shape whose bytes cannot be counted in 63 bits
  size_mismatch,        ///< as many bytes as its shape and dtype do not need
  // All tensors: together they are the data, each byte once.
  overlap,      ///< two tensors share bytes
  hole,         ///< bytes between two tensors, or before the first, that belong to none
  unused_data,  ///< bytes after the last tensor that belong to none
  // What a reader asks of a valid file.
  missing_tensor,     ///< holds no tensor of that name
  unexpected_tensor,  ///< holds a tensor that nothing asks for
  shape_mismatch,     ///< holds a tensor of another shape
  unreadable_dtype,   ///< holds a tensor whose values are not floating-point numbers that are read here
};

/// A safetensors file that breaks a rule. `tensor()` is the file's name and, where one is at fault, the tensor's.
class SafetensorsFailure : public Error {
 public:
  /// @param key the tensor or metadata key at fault, or empty
  SafetensorsFailure(SafetensorsError rule, const std::string& file, std::string_view key, std::string expected,
                     std::string actual)
      : Error(code_of(rule), key.empty() ? file : file + ": " + detail::printable(key), std::move(expected),
              std::move(actual)),
        rule_(rule) {}

  [[nodiscard]] SafetensorsError rule() const noexcept { return rule_; }

 private:
  static ErrorCode code_of(SafetensorsError rule) {
    switch (rule) {
      case SafetensorsError::shape_mismatch:
        return ErrorCode::shape_mismatch;
      case SafetensorsError::size_overflow:
        return ErrorCode::size_overflow;
      case SafetensorsError::unreadable_dtype:
        return ErrorCode::unsupported;
      default:
        return ErrorCode::malformed_input;
    }
  }

  SafetensorsError rule_;
};

}  // namespace linformer::inline LINFORMER_ABI
