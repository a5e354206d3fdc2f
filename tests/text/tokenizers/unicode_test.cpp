#include <linformer/text/tokenizers/unicode.hpp>

#include "support/catch.hpp"

#include <string>
#include <vector>

using namespace linformer;
using namespace linformer::detail;

namespace {

std::vector<char32_t> list(const CodePoints& points) { return {points.begin(), points.end()}; }
using Points = std::vector<char32_t>;

}  // namespace

TEST_CASE("code points are letters, numbers, white space or something else", "[unicode]") {
  for (const char32_t c : U"aZ\u00E9\u0416\u05D0\u4E2D\uAC00\u02B0\u01C5\U0001D400") {
    if (c != 0) CHECK(code_point_class(c) == CodePointClass::letter);
  }
  for (const char32_t c : U"07\u00B2\u00BD\u0663\u2167\u3007") {
    if (c != 0) CHECK(code_point_class(c) == CodePointClass::number);
  }
  for (const char32_t c : U"\t\n\v\f\r \u0085\u00A0\u1680\u2000\u200A\u2028\u2029\u202F\u205F\u3000") {
    if (c != 0) CHECK(code_point_class(c) == CodePointClass::space);
  }
  for (const char32_t c : U"!_\u0301\u200B\u180E\uFEFF\U0001F600\uFFFD") {
    if (c != 0) CHECK(code_point_class(c) == CodePointClass::other);
  }
  CHECK(code_point_class(0) == CodePointClass::other);
  CHECK(code_point_class(0x10FFFF) == CodePointClass::other);
}

TEST_CASE("BERT's own classes", "[unicode]") {
  for (const char32_t c : {U'\0', U'\x7F', U'\u0085', U'\u00AD', U'\u200B', U'\uFEFF', U'\uE000', U'\uFFFD'}) {
    CHECK(is_bert_control(c));
  }
  for (const char32_t c : {U'\t', U'\n', U'\r', U' ', U'a', U'\u0378'}) CHECK_FALSE(is_bert_control(c));
  std::string ascii;
  for (char32_t c = 0; c < 0x80; ++c) {
    if (is_bert_punctuation(c)) ascii += static_cast<char>(c);
  }
  CHECK(ascii == "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~");
  CHECK(is_bert_punctuation(0x2014));
  CHECK(is_bert_punctuation(0x3002));
  CHECK_FALSE(is_bert_punctuation(0x20AC));  // a symbol beyond ASCII is none
  CHECK(is_bert_ideograph(0x4E2D));
  CHECK(is_bert_ideograph(0x2A6DF));
  CHECK_FALSE(is_bert_ideograph(0x2A6E0));
  CHECK_FALSE(is_bert_ideograph(0x3042));
  CHECK_FALSE(is_bert_ideograph(0xAC00));
}

TEST_CASE("decomposition is full and canonical, lower case knows no neighbours", "[unicode]") {
  CHECK(list(decomposed(U'a')) == Points{U'a'});
  CHECK(list(decomposed(0x1E69)) == Points{U's', 0x323, 0x307});
  CHECK(list(decomposed(0xD55C)) == Points{0x1112, 0x1161, 0x11AB});
  CHECK(list(decomposed(0xFB01)) == Points{0xFB01});  // a ligature is compatible, not canonical
  CHECK(list(decomposed(0x1F82)) == Points{0x3B1, 0x313, 0x300, 0x345});
  CHECK(list(decomposed(0x10FFFF)) == Points{0x10FFFF});
  CHECK(list(lower_case(0x130)) == Points{U'i', 0x307});
  CHECK(list(lower_case(0x3A3)) == Points{0x3C3});
  CHECK(list(lower_case(0x1E9E)) == Points{0xDF});
  CHECK(combining_class(0x301) == 230);
  CHECK(combining_class(U'a') == 0);
  CHECK(is_nonspacing_mark(0x301));
  CHECK_FALSE(is_nonspacing_mark(0x903));
}

TEST_CASE("code points are written as they are read", "[unicode]") {
  std::string text;
  const Points points{0, 0x7F, 0x80, 0x7FF, 0x800, 0xFFFD, 0xFFFF, 0x10000, 0x10FFFF};
  for (const char32_t c : points) append_utf8(c, text);
  CHECK(code_points(text) == points.size());
  Points read;
  for (std::size_t at = 0; at < text.size();) {
    const Utf8Step step = utf8_step(text, at);
    CHECK(step.valid);
    read.push_back(step.code_point);
    at += step.length;
  }
  CHECK(read == points);
}
