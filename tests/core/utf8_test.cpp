#include <linformer/core/utf8.hpp>

#include "support/catch.hpp"

#include <string>

using namespace linformer;

namespace {

/// UTF-8 by the definition of its bits, without regard to what is allowed.
std::string spell(char32_t c) {
  const auto byte = [](char32_t value) { return static_cast<char>(static_cast<unsigned char>(value)); };
  const auto trail = [&](int shift) { return byte(0x80 | (c >> shift & 0x3F)); };
  if (c < 0x80) return {byte(c)};
  if (c < 0x800) return {byte(0xC0 | c >> 6), trail(0)};
  if (c < 0x10000) return {byte(0xE0 | c >> 12), trail(6), trail(0)};
  return {byte(0xF0 | c >> 18), trail(12), trail(6), trail(0)};
}

}  // namespace

TEST_CASE("every code point but the surrogates is one step", "[utf8]") {
  bool right = true;
  for (char32_t c = 0; c < 0x110000; ++c) {
    const std::string text = spell(c);
    const Utf8Step step = utf8_step(text, 0);
    const bool surrogate = c >= 0xD800 && c < 0xE000;
    right = right && step.valid == !surrogate && (surrogate || (step.length == text.size() && step.code_point == c));
  }
  CHECK(right);
  CHECK_FALSE(utf8_step(spell(0x110000), 0).valid);
}

TEST_CASE("the first error is found where its sequence begins", "[utf8]") {
  CHECK_FALSE(first_invalid_utf8(""));
  CHECK_FALSE(first_invalid_utf8("a\xC3\xA4\xE2\x82\xAC\xF0\x9F\x98\x80"));
  CHECK(first_invalid_utf8("ab\xFFz") == 2);
  CHECK(first_invalid_utf8("a\xE2\x82") == 1);
  CHECK(first_invalid_utf8("\xC3\xA4\xA4") == 2);
  CHECK(first_invalid_utf8("\xC0\xAF") == 0);      // overlong
  CHECK(first_invalid_utf8("\xE0\x9F\xBF") == 0);  // overlong
}

TEST_CASE("each maximal subpart becomes one U+FFFD, as the examples of the Unicode Standard have it", "[utf8]") {
  const std::string r = "\xEF\xBF\xBD";
  const auto times = [&](int n) {
    std::string text;
    while (n-- > 0) text += r;
    return text;
  };
  // Unicode 15, section 3.9, tables 3-8 to 3-11.
  CHECK(replace_invalid_utf8("\xC0\xAF\xE0\x80\xBF\xF0\x81\x82\x41") == times(8) + "A");
  CHECK(replace_invalid_utf8("\xED\xA0\x80\xED\xBF\xBF\xED\xAF\x41") == times(8) + "A");
  CHECK(replace_invalid_utf8("\xF4\x91\x92\x93\xFF\x41\x80\xBF\x42") == times(5) + "A" + times(2) + "B");
  CHECK(replace_invalid_utf8("\xE1\x80\xE2\xF0\x91\x92\xF1\xBF\x41") == times(4) + "A");
  CHECK(replace_invalid_utf8("\xE2\x82") == r);
  CHECK(replace_invalid_utf8(std::string("a\0\xC3\xA4", 4)) == std::string("a\0\xC3\xA4", 4));
}
