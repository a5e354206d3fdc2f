#include <linformer/text/tokenizers/byte_level.hpp>

#include <linformer/core/random.hpp>

#include "support/catch.hpp"

#include <set>
#include <string>
#include <vector>

using namespace linformer;
using namespace linformer::detail;

namespace {

using Pieces = std::vector<std::string>;

Pieces pieces(std::string_view text) {
  Pieces found;
  for_each_gpt2_piece(text, [&](auto begin, auto end) { found.emplace_back(text.substr(begin, end - begin)); });
  return found;
}

/// The pattern as an engine that goes back would take it, alternative by alternative, for ASCII.
std::size_t match(std::string_view text, std::size_t at) {
  const auto is = [&](std::size_t i, char kind) {
    if (i >= text.size()) return false;
    const char c = text[i];
    const bool letter = c >= 'a' && c <= 'z', number = c >= '0' && c <= '9', space = c == ' ' || c == '\n';
    return kind == 'L' ? letter : kind == 'N' ? number : kind == 'S' ? space : !letter && !number && !space;
  };
  for (const char* contraction : {"'s", "'t", "'re", "'ve", "'m", "'ll", "'d"}) {
    if (text.substr(at).starts_with(contraction)) return at + std::string_view(contraction).size();
  }
  for (const char kind : {'L', 'N', 'O'}) {
    for (const std::size_t skip : {std::size_t{text[at] == ' '}, std::size_t{0}}) {  // " ?" is greedy
      std::size_t end = at + skip;
      while (is(end, kind)) ++end;
      if (end > at + skip) return end;
    }
  }
  std::size_t end = at;
  while (is(end, 'S')) ++end;
  for (std::size_t shorter = end; shorter > at; --shorter) {
    if (shorter == text.size() || is(shorter, 'S')) return shorter;  // (?!\S)
  }
  return end;
}

}  // namespace

TEST_CASE("every byte has a symbol of its own that is printed", "[byte_level]") {
  const std::set<char32_t> all(byte_symbols.begin(), byte_symbols.end());
  CHECK(all.size() == 256);
  CHECK(byte_symbols[' '] == 0x120);
  CHECK(byte_symbols['\n'] == 0x10A);
  CHECK(byte_symbols['a'] == U'a');
  CHECK(byte_symbols[0xAD] == 0x143);
  CHECK(byte_symbols[0xFF] == 0xFF);
  for (std::size_t byte = 0; byte < 256; ++byte) {
    std::string symbol;
    append_utf8(byte_symbols[byte], symbol);
    CHECK(bytes_of_symbols(symbol) == std::string(1, static_cast<char>(byte)));
  }
  CHECK(bytes_of_symbols("\u0120caf\u00C3\u00A9") == " caf\u00E9");
  CHECK_FALSE(bytes_of_symbols("a b"));
  CHECK_FALSE(bytes_of_symbols("\u0144"));
  CHECK_FALSE(bytes_of_symbols("\xFF"));
}

TEST_CASE("a text is cut as GPT-2's pattern cuts it", "[byte_level]") {
  CHECK(pieces("") == Pieces{});
  CHECK(pieces("Hello my friend, how's it?") == Pieces{"Hello", " my", " friend", ",", " how", "'s", " it", "?"});
  CHECK(pieces("a   b") == Pieces{"a", "  ", " b"});
  CHECK(pieces("a \n b \n") == Pieces{"a", " \n", " b", " \n"});
  CHECK(pieces("a\nb") == Pieces{"a", "\n", "b"});
  CHECK(pieces("a\n\nb") == Pieces{"a", "\n", "\n", "b"});
  CHECK(pieces("we'll've 'S '' 's") == Pieces{"we", "'ll", "'ve", " '", "S", " ''", " '", "s"});
  CHECK(pieces("x1\u00B2 \u0663a") == Pieces{"x", "1\u00B2", " \u0663", "a"});
  CHECK(pieces("\u00E9t\u00E9\u3000\u3000\u4E2D e\u0301") ==
        Pieces{"\u00E9t\u00E9", "\u3000", "\u3000", "\u4E2D", " e", "\u0301"});
  CHECK(pieces(" \U0001F600!a") == Pieces{" \U0001F600!", "a"});
}

TEST_CASE("cuts are those of the pattern taken literally", "[byte_level]") {
  const RandomStream random(7);
  constexpr std::string_view letters = "aslrevtmd1' \n!'  ";
  for (std::uint64_t row = 0; row < 3000; ++row) {
    std::string text;
    const std::uint64_t length = random.words(row, 1000)[0] % 14;
    for (std::uint64_t i = 0; i < length; ++i) text += letters[random.words(row, i)[0] % letters.size()];
    Pieces expected;
    for (std::size_t at = 0; at < text.size();) {
      const std::size_t end = match(text, at);
      expected.push_back(text.substr(at, end - at));
      at = end;
    }
    INFO(text);
    REQUIRE(pieces(text) == expected);
  }
}
