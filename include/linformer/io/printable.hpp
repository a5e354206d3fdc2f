#pragma once

#include <linformer/core/utf8.hpp>

#include <algorithm>
#include <string>
#include <string_view>

namespace linformer::inline LINFORMER_ABI::detail {

/// A name from a file as a message can carry it: at most 64 bytes of it, without control characters.
[[nodiscard]] inline std::string printable(std::string_view name) {
  constexpr std::size_t most = 64;
  const std::string_view head = name.substr(0, most);
  std::string text(head.substr(0, first_invalid_utf8(head).value_or(head.size())));
  std::replace_if(
      text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; }, '?');
  return text.size() == name.size() ? text : text + "...";
}

}  // namespace linformer::inline LINFORMER_ABI::detail
