#pragma once

#include <linformer/core/abi.hpp>

#include <initializer_list>
#include <limits>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

namespace linformer::inline LINFORMER_ABI {

using Index = Eigen::Index;

/// What went wrong, for a program to act on; the message is for a person.
enum class ErrorCode {
  invalid_configuration,  ///< a configuration that no attention layer can have (heads = 0, k > n, …)
  shape_mismatch,         ///< a tensor's shape differs from what the layer needs
  sequence_too_long,      ///< a context longer than the configured n
  size_overflow,          ///< a product of sizes does not fit the address space
  unsupported,            ///< something that Linformer cannot do by its nature; the message says why
  aliasing,               ///< the output overlaps an input
  file_access,            ///< a file or folder that cannot be opened, read or written
  malformed_input,        ///< a file, text or sequence of tokens that is not in its format
  out_of_range,           ///< a value outside its range: a label, a token's id, an index
  parameter_mismatch,     ///< two modules that belong together differ in names or shapes of parameters
  not_finite,             ///< a loss or gradient that is NaN or infinite
  self_test_failed,       ///< a model file whose weights do not give the output that was saved with them
  ranks_disagree,         ///< processes that train one model together differ in version, settings or weights
};

/// Every error that the library raises. The facts are kept apart, so that a service can log them as fields.
class Error : public std::runtime_error {
 public:
  /// @param tensor name of the tensor or configuration field at fault
  /// @param expected what it should have been, e.g. "at most 4096 rows"
  /// @param actual what came, e.g. "5000 rows"
  Error(ErrorCode code, std::string tensor, std::string expected, std::string actual)
      : std::runtime_error("linformer: " + tensor + ": expected " + expected + ", got " + actual),
        code_(code),
        tensor_(std::move(tensor)),
        expected_(std::move(expected)),
        actual_(std::move(actual)) {}

  [[nodiscard]] ErrorCode code() const noexcept { return code_; }
  [[nodiscard]] const std::string& tensor() const noexcept { return tensor_; }
  [[nodiscard]] const std::string& expected() const noexcept { return expected_; }
  [[nodiscard]] const std::string& actual() const noexcept { return actual_; }

 private:
  ErrorCode code_;
  std::string tensor_, expected_, actual_;
};

namespace detail {

inline std::string shape_text(Index rows, Index cols) { return std::to_string(rows) + " x " + std::to_string(cols); }

/// first … end − 1 in words.
inline std::string range_text(Index begin, Index end) {
  return begin == end ? std::string("none") : std::to_string(begin) + " to " + std::to_string(end - 1);
}

inline void require(bool holds, ErrorCode code, std::string_view tensor, std::string_view expected,
                    std::string_view actual) {
  if (!holds) throw Error(code, std::string(tensor), std::string(expected), std::string(actual));
}

/// As above, with the facts put into words only where it fails: for checks of every call.
template <class Expected, class Actual>
void require(bool holds, ErrorCode code, std::string_view tensor, const Expected& expected,
             const Actual& actual) requires std::is_invocable_r_v<std::string, Expected> &&
    std::is_invocable_r_v<std::string, Actual> {
  if (!holds) throw Error(code, std::string(tensor), expected(), actual());
}

inline void require_shape(std::string_view tensor, Index rows, Index cols, Index expected_rows, Index expected_cols) {
  if (rows != expected_rows || cols != expected_cols) {
    throw Error(ErrorCode::shape_mismatch, std::string(tensor), shape_text(expected_rows, expected_cols),
                shape_text(rows, cols));
  }
}

/// What a function gives; an error of its own is named after the place where it happened: "file: field".
template <class Function>
decltype(auto) within(const std::string& place, const Function& function) {
  try {
    return function();
  } catch (const Error& error) {
    throw Error(error.code(), place + ": " + error.tensor(), error.expected(), error.actual());
  }
}

/// Product of non-negative sizes. @throws Error size_overflow if `factors` elements of 16 bytes cannot be addressed.
inline Index checked_size(std::string_view tensor, std::initializer_list<Index> factors) {
  constexpr Index limit = std::numeric_limits<Index>::max() / 16;
  Index size = 1;
  for (const Index factor : factors) {
    if (factor != 0 && size > limit / factor) {
      std::string text;
      for (const Index each : factors) text += (text.empty() ? "" : " x ") + std::to_string(each);
      throw Error(ErrorCode::size_overflow, std::string(tensor), "a size that can be addressed", text);
    }
    size *= factor;
  }
  return size;
}

}  // namespace detail

}  // namespace linformer::inline LINFORMER_ABI
