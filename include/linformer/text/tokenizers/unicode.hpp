#pragma once

// Facts about code points that tokenizers of pretrained models ask for. The component linformer::tokenizers: needs
// utf8proc, whose version says which version of Unicode; no other header includes it.

#include <linformer/core/utf8.hpp>

#include <utf8proc.h>

#include <array>
#include <cstdint>
#include <string>

namespace linformer::inline LINFORMER_ABI::detail {

/// What patterns of byte-level BPE tell apart.
enum class CodePointClass : std::uint8_t { letter, number, space, other };

[[nodiscard]] inline utf8proc_category_t category(char32_t c) noexcept {
  return utf8proc_category(static_cast<utf8proc_int32_t>(c));
}

/// Unicode's property White_Space, which has not changed since version 6.3.
[[nodiscard]] constexpr bool is_white_space(char32_t c) noexcept {
  return (c >= 0x09 && c <= 0x0D) || c == 0x20 || c == 0x85 || c == 0xA0 || c == 0x1680 ||
         (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F || c == 0x3000;
}

/// \p{L}, \p{N}, \s, or none of them.
[[nodiscard]] inline CodePointClass code_point_class(char32_t c) noexcept {
  if (is_white_space(c)) return CodePointClass::space;
  const utf8proc_category_t of = category(c);
  if (of >= UTF8PROC_CATEGORY_LU && of <= UTF8PROC_CATEGORY_LO) return CodePointClass::letter;
  if (of >= UTF8PROC_CATEGORY_ND && of <= UTF8PROC_CATEGORY_NO) return CodePointClass::number;
  return CodePointClass::other;
}

/// What BERT's clean-up takes away: categories Cc, Cf and Co but for tab and line ends, and U+FFFD. Code points that
/// are not assigned stay.
[[nodiscard]] inline bool is_bert_control(char32_t c) noexcept {
  if (c == '\t' || c == '\n' || c == '\r') return false;
  const utf8proc_category_t of = category(c);
  return c == 0xFFFD || of == UTF8PROC_CATEGORY_CC || of == UTF8PROC_CATEGORY_CF || of == UTF8PROC_CATEGORY_CO;
}

/// What BERT sets apart as a token of its own: category P, and ASCII's symbols, such as $ and +.
[[nodiscard]] inline bool is_bert_punctuation(char32_t c) noexcept {
  if (c < 0x80) return (c > 0x20 && c < '0') || (c > '9' && c < 'A') || (c > 'Z' && c < 'a') || (c > 'z' && c < 0x7F);
  const utf8proc_category_t of = category(c);
  return of >= UTF8PROC_CATEGORY_PC && of <= UTF8PROC_CATEGORY_PO;
}

/// Ideographs around which BERT puts spaces: CJK blocks, without Kana and Hangul.
[[nodiscard]] constexpr bool is_bert_ideograph(char32_t c) noexcept {
  const auto in = [c](char32_t first, char32_t last) { return c >= first && c <= last; };
  return in(0x4E00, 0x9FFF) || in(0x3400, 0x4DBF) || in(0x20000, 0x2A6DF) || in(0x2A700, 0x2B73F) ||
         in(0x2B740, 0x2B81F) || in(0x2B920, 0x2CEAF) || in(0xF900, 0xFAFF) || in(0x2F800, 0x2FA1F);
}

/// Category Mn: what is left of accents once letters are decomposed.
[[nodiscard]] inline bool is_nonspacing_mark(char32_t c) noexcept { return category(c) == UTF8PROC_CATEGORY_MN; }

[[nodiscard]] inline int combining_class(char32_t c) noexcept {
  return utf8proc_get_property(static_cast<utf8proc_int32_t>(c))->combining_class;
}

/// One code point as several.
struct CodePoints {
  std::array<char32_t, 8> points{};
  std::size_t size = 0;

  [[nodiscard]] const char32_t* begin() const noexcept { return points.data(); }
  [[nodiscard]] const char32_t* end() const noexcept { return points.data() + size; }
};

/// Full canonical decomposition: at most four code points.
[[nodiscard]] inline CodePoints decomposed(char32_t c) noexcept {
  std::array<utf8proc_int32_t, 8> parts{};
  int bounds = 0;
  const auto count = utf8proc_decompose_char(static_cast<utf8proc_int32_t>(c), parts.data(),
                                             static_cast<utf8proc_ssize_t>(parts.size()), UTF8PROC_DECOMPOSE, &bounds);
  CodePoints result;
  if (count < 1 || count > static_cast<utf8proc_ssize_t>(parts.size())) {
    result.points[result.size++] = c;
    return result;
  }
  while (result.size < static_cast<std::size_t>(count)) {
    result.points[result.size] = static_cast<char32_t>(parts[result.size]);
    ++result.size;
  }
  return result;
}

/// Lower case, without regard to neighbours. U+0130 alone becomes two (SpecialCasing.txt).
[[nodiscard]] inline CodePoints lower_case(char32_t c) noexcept {
  if (c == 0x130) return {.points = {'i', 0x307}, .size = 2};
  return {.points = {static_cast<char32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(c)))}, .size = 1};
}

/// Whether a byte of UTF-8 goes on a code point.
[[nodiscard]] constexpr bool is_utf8_trail(char byte) noexcept {
  return (static_cast<unsigned char>(byte) & 0xC0U) == 0x80U;
}

/// How many code points a text in UTF-8 has.
[[nodiscard]] constexpr std::size_t code_points(std::string_view text) noexcept {
  std::size_t count = 0;
  for (const char byte : text) count += is_utf8_trail(byte) ? 0 : 1;
  return count;
}

inline void append_utf8(char32_t c, std::string& text) {
  const auto put = [&](char32_t byte) { text += static_cast<char>(static_cast<unsigned char>(byte)); };
  if (c < 0x80) return put(c);
  if (c < 0x800) {
    put(0xC0 | c >> 6);
  } else {
    if (c < 0x10000) {
      put(0xE0 | c >> 12);
    } else {
      put(0xF0 | c >> 18);
      put(0x80 | (c >> 12 & 0x3F));
    }
    put(0x80 | (c >> 6 & 0x3F));
  }
  put(0x80 | (c & 0x3F));
}

}  // namespace linformer::inline LINFORMER_ABI::detail
