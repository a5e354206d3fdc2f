#include <linformer/text/tokenizers/added_tokens.hpp>

#include "support/catch.hpp"

#include <string>
#include <vector>

using namespace linformer;

namespace {

/// Parts of a text with | between them, those that are added tokens in brackets.
std::string parts(const std::vector<AddedToken>& tokens, std::string_view text, bool with_special = true) {
  std::string shown;
  detail::AddedTokens(tokens, with_special).for_each_part(text, [&](auto begin, auto end, const AddedToken* token) {
    if (!shown.empty()) shown += '|';
    const std::string part(text.substr(begin, end - begin));
    shown += token == nullptr ? part : '(' + part + ')';
  });
  return shown;
}

}  // namespace

TEST_CASE("a text is cut at added tokens, the leftmost first and of those the longest", "[added_tokens]") {
  const std::vector<AddedToken> tokens{{.text = "ab", .id = 0}, {.text = "abc", .id = 1}, {.text = "ca", .id = 2}};
  CHECK(parts(tokens, "") == "");
  CHECK(parts(tokens, "xyz") == "xyz");
  CHECK(parts(tokens, "abca") == "(abc)|a");
  CHECK(parts(tokens, "xabxcab") == "x|(ab)|x|(ca)|b");
  CHECK(parts(tokens, "abab") == "(ab)|(ab)");
}

TEST_CASE("special tokens are looked for only where they are asked for", "[added_tokens]") {
  const std::vector<AddedToken> tokens{{.text = "<s>", .id = 0}, {.text = "new", .id = 1, .special = false}};
  CHECK(parts(tokens, "<s>new", false) == "<s>|(new)");
  CHECK(parts(tokens, "<s>new", true) == "(<s>)|(new)");
}

TEST_CASE("added tokens may take the white space around them", "[added_tokens]") {
  const std::vector<AddedToken> left{{.text = "<m>", .id = 0, .strip_left = true}, {.text = ">", .id = 1}};
  CHECK(parts(left, "a \t\u3000<m> b") == "a|( \t\u3000<m>)| b");
  CHECK(parts(left, "> <m>") == "(>)|( <m>)");
  const std::vector<AddedToken> right{{.text = "<m>", .id = 0, .strip_left = true, .strip_right = true}};
  CHECK(parts(right, "a <m> <m> b") == "a|( <m> )|(<m> )|b");
}

TEST_CASE("the second round looks at what the first leaves", "[added_tokens]") {
  const std::vector<AddedToken> tokens{{.text = "a<", .id = 0, .second_round = true}, {.text = "<s>", .id = 1}};
  CHECK(parts(tokens, "a<s>a<") == "a|(<s>)|(a<)");
}
