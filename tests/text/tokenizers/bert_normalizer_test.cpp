#include <linformer/text/tokenizers/bert_normalizer.hpp>

#include "support/catch.hpp"

#include <string>
#include <vector>

using namespace linformer;

namespace {

std::string normalized(const BertNormalization& config, std::string_view text) {
  return detail::BertNormalizer(config, false)(text, 0, text.size()).bytes;
}

using Words = std::vector<std::string>;

Words words(std::string_view text) {
  Words found;
  detail::for_each_bert_word(text, [&](auto begin, auto end) { found.emplace_back(text.substr(begin, end - begin)); });
  return found;
}

constexpr BertNormalization nothing{.clean_text = false, .handle_chinese_chars = false, .lowercase = false};

}  // namespace

TEST_CASE("clean-up takes controls out and makes white space a space", "[bert_normalizer]") {
  BertNormalization clean = nothing;
  clean.clean_text = true;
  const std::string text = std::string("a\0b", 3) + "\x01\x7F c\t\n\u00A0\u3000\u200B\uFFFD\xC2\xE2\x82z";
  CHECK(normalized(clean, text) == "ab c    z");
  CHECK(normalized(nothing, text.substr(0, 11)) == text.substr(0, 11));
  CHECK(normalized(nothing, "a\xC2\xE2\x82z") == "a\uFFFD\uFFFDz");
}

TEST_CASE("ideographs are set apart", "[bert_normalizer]") {
  BertNormalization apart = nothing;
  apart.handle_chinese_chars = true;
  CHECK(normalized(apart, "a\u4E2D\u6587b\u3042") == "a \u4E2D  \u6587 b\u3042");
}

TEST_CASE("accents go with lower case unless they are told apart", "[bert_normalizer]") {
  const std::string text = "\u00C9\u0130 \u1E69 a\u0301 \uD55C";
  BertNormalization config = nothing;
  config.lowercase = true;
  CHECK(normalized(config, text) == "ei s a \u1112\u1161\u11AB");
  config.strip_accents = false;
  CHECK(normalized(config, text) == "\u00E9i\u0307 \u1E69 a\u0301 \uD55C");
  config.lowercase = false;
  config.strip_accents = true;
  CHECK(normalized(config, text) == "EI s a \u1112\u1161\u11AB");
  config.strip_accents = std::nullopt;
  CHECK(normalized(config, text) == text);
}

TEST_CASE("marks that stay are put in canonical order", "[bert_normalizer]") {
  // U+302F (class 224) and U+1D165 (class 216) are of category Mc, which no one strips.
  BertNormalization strip = nothing;
  strip.strip_accents = true;
  CHECK(normalized(strip, "a\u302F\u0301\U0001D165z") == "a\U0001D165\u302Fz");
}

TEST_CASE("each byte of the normalised text has an origin", "[bert_normalizer]") {
  detail::BertNormalizer normalize({}, true);
  const std::string text = "x\u00C9\u4E2D\x01y";  // bytes 0, 1-2, 3-5, 6, 7
  const auto& out = normalize(text, 1, text.size());
  REQUIRE(out.bytes == "e \u4E2D y");
  const std::vector<ByteRange> expected{{1, 3}, {3, 6}, {3, 6}, {3, 6}, {3, 6}, {3, 6}, {7, 8}};
  CHECK(out.origins == expected);
  CHECK(normalize(text, 7, 8).bytes == "y");
}

TEST_CASE("words end at white space, and punctuation is a word of its own", "[bert_normalizer]") {
  CHECK(words("") == Words{});
  CHECK(words("  a bc ") == Words{"a", "bc"});
  CHECK(words("a.b--c\u2014d\u00A0e$") == Words{"a", ".", "b", "-", "-", "c", "\u2014", "d", "e", "$"});
  CHECK(words("\u20AC5") == Words{"\u20AC5"});
}
