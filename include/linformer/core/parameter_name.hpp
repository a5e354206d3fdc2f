#pragma once

#include <linformer/core/abi.hpp>

#include <algorithm>
#include <array>
#include <concepts>
#include <cstddef>
#include <string>
#include <string_view>

namespace linformer::inline LINFORMER_ABI {

/// The name of a parameter, put together on the way down a module: names of up to 119 characters without an allocation,
/// so that a training step may visit all parameters and allocate nothing. A `std::string` to whoever wants one.
class ParameterName {
 public:
  template <std::convertible_to<std::string_view> Text>
  ParameterName(const Text& text) {  // NOLINT(google-explicit-constructor): a name is text
    append(text);
  }

  [[nodiscard]] std::string_view view() const noexcept {
    return longer_.empty() ? std::string_view(characters_.data(), size_) : std::string_view(longer_);
  }
  operator std::string() const { return std::string(view()); }   // NOLINT(google-explicit-constructor)
  operator std::string_view() const noexcept { return view(); }  // NOLINT(google-explicit-constructor)
  [[nodiscard]] friend ParameterName operator+(ParameterName name, std::string_view more) {
    name.append(more);
    return name;
  }
  [[nodiscard]] friend bool operator==(const ParameterName& name, std::string_view other) noexcept {
    return name.view() == other;
  }

 private:
  void append(std::string_view more) {
    if (longer_.empty() && size_ + more.size() <= characters_.size()) {
      std::copy(more.begin(), more.end(), characters_.begin() + static_cast<std::ptrdiff_t>(size_));
      size_ += more.size();
      return;
    }
    if (longer_.empty()) longer_.assign(characters_.data(), size_);
    longer_.append(more);
  }

  std::array<char, 119> characters_{};
  std::size_t size_ = 0;
  std::string longer_;  ///< the whole name, where it is longer
};

}  // namespace linformer::inline LINFORMER_ABI
