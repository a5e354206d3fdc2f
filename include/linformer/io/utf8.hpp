#pragma once

#include <linformer/core/abi.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <string>
#include <string_view>

namespace linformer::inline LINFORMER_ABI::detail {

/// Bytes of the well-formed UTF-8 sequence that `text`, not empty, begins with, by table 3-7 of the Unicode standard; 0
/// if there is none: a stray or missing continuation, an overlong form, a surrogate, or a number beyond U+10FFFF.
[[nodiscard]] inline std::size_t utf8_sequence_length(std::string_view text) {
  struct Form {
    unsigned char lead_first, lead_last, second_first, second_last;
    std::size_t length;
  };
  static constexpr std::array<Form, 9> forms{{{0x00, 0x7F, 0x00, 0xFF, 1},
                                              {0xC2, 0xDF, 0x80, 0xBF, 2},
                                              {0xE0, 0xE0, 0xA0, 0xBF, 3},
                                              {0xE1, 0xEC, 0x80, 0xBF, 3},
                                              {0xED, 0xED, 0x80, 0x9F, 3},
                                              {0xEE, 0xEF, 0x80, 0xBF, 3},
                                              {0xF0, 0xF0, 0x90, 0xBF, 4},
                                              {0xF1, 0xF3, 0x80, 0xBF, 4},
                                              {0xF4, 0xF4, 0x80, 0x8F, 4}}};
  const auto in = [](char c, unsigned char first, unsigned char last) {
    return static_cast<unsigned char>(c) >= first && static_cast<unsigned char>(c) <= last;
  };
  for (const Form& form : forms) {
    if (!in(text[0], form.lead_first, form.lead_last)) continue;
    if (form.length == 1) return 1;
    if (text.size() < form.length || !in(text[1], form.second_first, form.second_last)) return 0;
    const std::string_view rest = text.substr(2, form.length - 2);
    return std::all_of(rest.begin(), rest.end(), [&](char c) { return in(c, 0x80, 0xBF); }) ? form.length : 0;
  }
  return 0;
}

/// Position of the first byte that is not well-formed UTF-8, or the text's size.
[[nodiscard]] inline std::size_t utf8_prefix(std::string_view text) {
  std::size_t position = 0;
  while (position < text.size()) {
    const bool ascii = static_cast<unsigned char>(text[position]) < 0x80;  // most bytes of most texts
    const std::size_t length = ascii ? 1 : utf8_sequence_length(text.substr(position));
    if (length == 0) break;
    position += length;
  }
  return position;
}

/// A name from a file as a message can carry it: at most 64 bytes of it, without control characters.
[[nodiscard]] inline std::string printable(std::string_view name) {
  constexpr std::size_t most = 64;
  const std::string_view head = name.substr(0, most);
  std::string text(head.substr(0, utf8_prefix(head)));
  std::replace_if(
      text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; }, '?');
  return text.size() == name.size() ? text : text + "...";
}

}  // namespace linformer::inline LINFORMER_ABI::detail
