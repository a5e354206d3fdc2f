#pragma once

#include <linformer/text/tokenizer.hpp>
#include <linformer/text/tokenizers/unicode.hpp>

#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace linformer::inline LINFORMER_ABI::detail {

/// The code point under which vocabularies of byte-level BPE spell a byte: its own where Latin-1 prints it, else the
/// next one from U+0100 on (Radford et al. 2019, GPT-2). A space is U+0120.
[[nodiscard]] constexpr std::array<char32_t, 256> make_byte_symbols() noexcept {
  std::array<char32_t, 256> symbols{};
  char32_t next = 0x100;
  for (char32_t byte = 0; byte < 256; ++byte) {
    const bool printed = (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
    symbols[byte] = printed ? byte : next++;
  }
  return symbols;
}

inline constexpr std::array<char32_t, 256> byte_symbols = make_byte_symbols();

/// The bytes that a vocabulary's token spells; none if it holds what stands for no byte.
[[nodiscard]] inline std::optional<std::string> bytes_of_symbols(std::string_view token) {
  static constexpr auto bytes = [] {
    std::array<int, 0x144> table{};
    table.fill(-1);
    for (std::size_t byte = 0; byte < byte_symbols.size(); ++byte) table[byte_symbols[byte]] = static_cast<int>(byte);
    return table;
  }();
  std::string text;
  for (std::size_t at = 0; at < token.size();) {
    const Utf8Step step = utf8_step(token, at);
    const int byte = step.valid && step.code_point < bytes.size() ? bytes[step.code_point] : -1;
    if (byte < 0) return std::nullopt;
    text += static_cast<char>(static_cast<unsigned char>(byte));
    at += step.length;
  }
  return text;
}

/// For each byte of `replace_invalid_utf8(text)`, and its end, where in `text` its code point begins.
[[nodiscard]] inline std::vector<Index> places_before_replacing(std::string_view text) {
  std::vector<Index> places;
  for (std::size_t at = 0; at < text.size();) {
    const Utf8Step step = utf8_step(text, at);
    places.resize(places.size() + (step.valid ? step.length : 3), static_cast<Index>(at));
    at += step.length;
  }
  places.push_back(static_cast<Index>(text.size()));
  return places;
}

/// Bytes of the contraction, 's 't 're 've 'm 'll 'd, that a text begins with; 0 if none.
[[nodiscard]] constexpr std::size_t contraction_at(std::string_view text) noexcept {
  if (text.size() < 2 || text[0] != '\'') return 0;
  const char c = text[1];
  if (c == 's' || c == 't' || c == 'm' || c == 'd') return 2;
  const char next = text.size() > 2 ? text[2] : '\0';
  return (c == 'l' && next == 'l') || ((c == 'r' || c == 'v') && next == 'e') ? 3 : 0;
}

/// Calls take(begin, end) for the pieces into which GPT-2 cuts a text:
/// 's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
/// @param text UTF-8
template <class Take>
void for_each_gpt2_piece(std::string_view text, const Take& take) {
  static const auto ascii = [] {
    std::array<CodePointClass, 128> table{};
    for (std::size_t c = 0; c < table.size(); ++c) table[c] = code_point_class(static_cast<char32_t>(c));
    return table;
  }();
  struct Step {
    std::size_t length;
    CodePointClass of;
  };
  const auto step_at = [&](std::size_t at) -> Step {
    const auto byte = static_cast<unsigned char>(text[at]);
    if (byte < ascii.size()) return {1, ascii[byte]};
    const Utf8Step step = utf8_step(text, at);
    return {step.length, code_point_class(step.code_point)};
  };
  for (std::size_t begin = 0; begin < text.size();) {
    std::size_t end = begin + contraction_at(text.substr(begin));
    if (end == begin) {
      Step step = step_at(begin);
      if (text[begin] == ' ' && begin + 1 < text.size()) {
        // A space goes with what follows, unless that is white space as well.
        if (const Step next = step_at(begin + 1); next.of != CodePointClass::space) end = begin + 1, step = next;
      }
      const CodePointClass of = step.of;
      std::size_t last = end;
      while (end < text.size() && (step = step_at(end)).of == of) last = end, end += step.length;
      // Of white space before something else the last code point is left to go with that, if it is not the only one.
      if (of == CodePointClass::space && end < text.size() && last > begin) end = last;
    }
    take(begin, end);
    begin = end;
  }
}

}  // namespace linformer::inline LINFORMER_ABI::detail
