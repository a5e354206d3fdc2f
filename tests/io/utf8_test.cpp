#include <linformer/io/utf8.hpp>

#include "support/catch.hpp"

#include <cstdint>

using namespace linformer;

namespace {

/// The definition: sequences are the encodings of 0 to 10FFFF without the surrogates, and nothing else.
std::string encoded(std::uint32_t point) {
  const auto byte = [](std::uint32_t value) { return static_cast<char>(static_cast<unsigned char>(value)); };
  const auto rest = [&](int shift) { return byte(0x80 | (point >> shift & 0x3F)); };
  if (point < 0x80) return {byte(point)};
  if (point < 0x800) return {byte(0xC0 | point >> 6), rest(0)};
  if (point < 0x10000) return {byte(0xE0 | point >> 12), rest(6), rest(0)};
  return {byte(0xF0 | point >> 18), rest(12), rest(6), rest(0)};
}

}  // namespace

TEST_CASE("every code point is one sequence of UTF-8, surrogates and what follows 10FFFF are none", "[io]") {
  std::uint32_t wrong = 0;
  for (std::uint32_t point = 0; point < 0x120000; ++point) {
    const std::string text = encoded(point);
    const bool valid = point < 0x110000 && (point < 0xD800 || point > 0xDFFF);
    wrong += detail::utf8_sequence_length(text + "x") != (valid ? text.size() : 0) ? 1 : 0;
    // Cut short, it is none.
    wrong += valid && text.size() > 1 && detail::utf8_sequence_length(text.substr(0, text.size() - 1)) != 0 ? 1 : 0;
  }
  CHECK(wrong == 0);
}

TEST_CASE("no more sequences are UTF-8 than there are code points", "[io]") {
  // Every first and second byte, and third bytes on both sides of the bounds of a continuation, 80 to BF.
  std::uint32_t two = 0, three = 0;
  std::string text(3, ' ');
  for (std::uint32_t pair = 0x8000; pair < 0x10000; ++pair) {
    text[0] = static_cast<char>(pair >> 8);
    text[1] = static_cast<char>(pair & 0xFF);
    for (const char third : {'\x7F', '\x80', '\xBF', '\xC0'}) {
      text[2] = third;
      const std::size_t length = detail::utf8_sequence_length(text);
      two += length == 2 ? 1 : 0;
      three += length == 3 ? 1 : 0;
    }
  }
  CHECK(two == (0x800 - 0x80) * 4);
  CHECK(three == (0x10000 - 0x800 - 0x800) / 64 * 2);
}

TEST_CASE("overlong forms and stray bytes are no UTF-8", "[io]") {
  for (const char* text :
       {"\x80", "\xBF", "\xC0\x80", "\xC1\xBF", "\xE0\x80\x80", "\xE0\x9F\xBF", "\xF0\x80\x80\x80", "\xF0\x8F\xBF\xBF",
        "\xED\xA0\x80", "\xF4\x90\x80\x80", "\xF5\x80\x80\x80", "\xFF", "\xC3(", "\xE2\x82(", "\xF0\x9F\x98("}) {
    INFO(text);
    CHECK(detail::utf8_sequence_length(text) == 0);
  }
}

TEST_CASE("the well-formed prefix ends before the first wrong byte", "[io]") {
  CHECK(detail::utf8_prefix("") == 0);
  CHECK(detail::utf8_prefix("abc") == 3);
  CHECK(detail::utf8_prefix("K\u0304\xFFz") == 3);
  CHECK(detail::utf8_prefix("ab\xE2\x82") == 2);
}

TEST_CASE("a name in a message is short and without control characters", "[io]") {
  CHECK(detail::printable("encoder.0.K\u0304") == "encoder.0.K\u0304");
  CHECK(detail::printable("a\nb\x1B[31m\x7F") == "a?b?[31m?");
  CHECK(detail::printable(std::string(64, 'x')) == std::string(64, 'x'));
  CHECK(detail::printable(std::string(65, 'x')) == std::string(64, 'x') + "...");
  CHECK(detail::printable(std::string(63, 'x') + "\u00E9") == std::string(63, 'x') + "...");  // not half a letter
  CHECK(detail::printable("ab\xFF") == "ab...");
}
