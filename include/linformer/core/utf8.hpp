#pragma once

#include <linformer/core/abi.hpp>

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace linformer::inline LINFORMER_ABI {

/// What a reader does with text that is not UTF-8.
enum class OnInvalidUtf8 {
  keep,       ///< the bytes stay as they are
  replace,    ///< U+FFFD takes the place of every maximal subpart that is not well formed
  malformed,  ///< the row or document is malformed, see `OnMalformed`
};

/// One step through a text: a code point, or bytes that are none.
struct Utf8Step {
  std::size_t length = 0;   ///< bytes of the step, 1 to 4
  char32_t code_point = 0;  ///< U+FFFD where the bytes are not well formed
  bool valid = false;       ///< whether the bytes are well formed
};

/// The step that begins at byte `at` < text.size(): a well-formed sequence (Unicode 15, table 3-7), or the maximal
/// subpart of one that is cut short (section 3.9, "U+FFFD substitution of maximal subparts"), or one byte.
[[nodiscard]] constexpr Utf8Step utf8_step(std::string_view text, std::size_t at) noexcept {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned lead = byte(at);
  if (lead < 0x80) return {.length = 1, .code_point = lead, .valid = true};
  constexpr char32_t replacement = 0xFFFD;
  const std::size_t trailing = lead < 0xC2 ? 0 : lead < 0xE0 ? 1 : lead < 0xF0 ? 2 : lead < 0xF5 ? 3 : 0;
  if (trailing == 0) return {.length = 1, .code_point = replacement, .valid = false};
  // The second byte excludes overlong forms, surrogates and what lies above U+10FFFF.
  unsigned low = lead == 0xE0   ? 0xA0
                 : lead == 0xF0 ? 0x90
                                : 0x80,
           high = lead == 0xED   ? 0x9F
                  : lead == 0xF4 ? 0x8F
                                 : 0xBF;
  char32_t code_point = lead & (0x3FU >> trailing);
  for (std::size_t i = 1; i <= trailing; ++i, low = 0x80, high = 0xBF) {
    if (at + i == text.size() || byte(at + i) < low || byte(at + i) > high) {
      return {.length = i, .code_point = replacement, .valid = false};
    }
    code_point = code_point << 6 | (byte(at + i) & 0x3FU);
  }
  return {.length = trailing + 1, .code_point = code_point, .valid = true};
}

/// Position of the first byte that begins no well-formed sequence, if there is one.
[[nodiscard]] constexpr std::optional<std::size_t> first_invalid_utf8(std::string_view text) noexcept {
  for (std::size_t at = 0; at < text.size();) {
    const Utf8Step step = utf8_step(text, at);
    if (!step.valid) return at;
    at += step.length;
  }
  return std::nullopt;
}

/// The text with U+FFFD for every maximal subpart that is not well formed; the same bytes if it is valid.
[[nodiscard]] inline std::string replace_invalid_utf8(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t at = 0; at < text.size();) {
    const Utf8Step step = utf8_step(text, at);
    out += step.valid ? text.substr(at, step.length) : std::string_view("\xEF\xBF\xBD");
    at += step.length;
  }
  return out;
}

}  // namespace linformer::inline LINFORMER_ABI
