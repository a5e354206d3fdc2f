#include <linformer/text/encode_text.hpp>

#include <linformer/text/byte_tokenizer.hpp>

#include "support/catch.hpp"
#include "support/files.hpp"

#include <string>

using namespace linformer;
using linformer_test::error_of;

namespace {

/// Sequences of the byte tokenizer with its special tokens made visible: < for <s>, > for </s>.
std::vector<std::string> shown(const EncodedText& encoded) {
  std::vector<std::string> texts;
  for (const auto& sequence : encoded.sequences) {
    std::string& text = texts.emplace_back();
    for (const TokenId token : sequence) {
      text += token == 0 ? '<' : token == 2 ? '>' : static_cast<char>(token - ByteTokenizer::first_byte);
    }
  }
  return texts;
}

using Texts = std::vector<std::string>;
const ByteTokenizer bytes;
constexpr auto windows = OnTooLong::windows;

}  // namespace

TEST_CASE("a text is framed as <s> A </s>", "[encode_text]") {
  CHECK(shown(encode_text(bytes, "abc")) == Texts{"<abc>"});
  CHECK(shown(encode_text(bytes, "")) == Texts{"<>"});
  CHECK(shown(encode_text(bytes, "abc", {.length = 5})) == Texts{"<abc>"});
  const EncodedText cut = encode_text(bytes, "abcdef", {.length = 5});
  CHECK(shown(cut) == Texts{"<abc>"});
  CHECK(cut.dropped() == 3);
}

TEST_CASE("a long text is cut into windows, a stride apart", "[encode_text]") {
  const auto cut = [](std::string_view text, Index stride) {
    const EncodedText encoded = encode_text(bytes, text, {.length = 6, .on_too_long = windows, .stride = stride});
    CHECK(encoded.dropped() == 0);
    return shown(encoded);
  };
  CHECK(cut("abcdefghij", 0) == Texts{"<abcd>", "<efgh>", "<ij>"});
  CHECK(cut("abcdefgh", 0) == Texts{"<abcd>", "<efgh>"});
  CHECK(cut("abcdefgh", 9) == Texts{"<abcd>", "<efgh>"});
  CHECK(cut("abcdefg", 3) == Texts{"<abcd>", "<defg>"});
  CHECK(cut("abcdefgh", 2) == Texts{"<abcd>", "<cdef>", "<efgh>"});
  CHECK(cut("abcd", 1) == Texts{"<abcd>"});
  CHECK(cut("", 1) == Texts{"<>"});
}

TEST_CASE("a pair is framed as <s> A </s></s> B </s>", "[encode_text]") {
  CHECK(shown(encode_pair(bytes, "ab", "xyz")) == Texts{"<ab>>xyz>"});
  CHECK(shown(encode_pair(bytes, "", "")) == Texts{"<>>>"});
}

TEST_CASE("a tokenizer says how many separators divide a pair", "[encode_text]") {
  const std::vector<TokenId> first{7, 8, 9}, second{5, 6};
  SpecialTokens special{.bos = 0, .eos = 1, .separators = 1};
  const EncodedText whole = frame_pair(first, second, special, {.length = 8});
  CHECK(whole.sequences == std::vector<std::vector<TokenId>>{{0, 7, 8, 9, 1, 5, 6, 1}});
  CHECK(whole.second_begins == 5);
  CHECK(whole.dropped() == 0);
  const EncodedText cut = frame_pair(first, second, special, {.length = 7});
  CHECK(cut.sequences == std::vector<std::vector<TokenId>>{{0, 7, 8, 1, 5, 6, 1}});
  CHECK(cut.second_begins == 4);
  const EncodedText parts = frame_pair(first, second, special, {.length = 5, .on_too_long = windows});
  CHECK(parts.sequences == std::vector<std::vector<TokenId>>{{0, 7, 1, 5, 1}, {0, 7, 1, 6, 1}});
  CHECK(parts.second_begins == 3);
  special.separators = 3;
  CHECK(frame_pair(second, first, special, {}).second_begins == 6);
  CHECK(frame_tokens(first, special, {}).second_begins == 0);
  special.separators = 0;
  CHECK(error_of([&] { static_cast<void>(frame_pair(first, second, special, {})); }).tensor() == "separators");
}

TEST_CASE("of a pair the longer text loses its end, token by token", "[encode_text]") {
  const std::string first = "abcdefghijkl", second = "mnopqrstuvwx";
  for (std::size_t a = 0; a <= 12; ++a) {
    for (std::size_t b = 0; b <= 12; ++b) {
      for (Index length = 6; length <= 30; ++length) {
        std::string kept_a = first.substr(0, a), kept_b = second.substr(0, b);
        while (static_cast<Index>(kept_a.size() + kept_b.size()) > length - 4) {
          (kept_a.size() > kept_b.size() ? kept_a : kept_b).pop_back();
        }
        const EncodedText encoded = encode_pair(bytes, first.substr(0, a), second.substr(0, b), {.length = length});
        REQUIRE(shown(encoded) == Texts{"<" + kept_a + ">>" + kept_b + ">"});
        REQUIRE(encoded.dropped_first == static_cast<Index>(a - kept_a.size()));
        REQUIRE(encoded.dropped_second == static_cast<Index>(b - kept_b.size()));
      }
    }
  }
}

TEST_CASE("windows of a pair run over the second text and repeat the first", "[encode_text]") {
  const EncodeConfig config{.length = 10, .on_too_long = windows, .stride = 3};
  const EncodedText encoded = encode_pair(bytes, "ab", "mnopqrst", config);
  CHECK(shown(encoded) == Texts{"<ab>>mnop>", "<ab>>pqrs>", "<ab>>st>"});
  CHECK(encoded.dropped() == 0);
  const EncodedText long_first = encode_pair(bytes, "abcdef", "mnopqrst", config);
  CHECK(shown(long_first) == Texts{"<abc>>mno>", "<abc>>pqr>", "<abc>>st>"});
  CHECK(long_first.dropped_first == 3);
  CHECK(long_first.dropped_second == 0);
  CHECK(shown(encode_pair(bytes, "abcdefghi", "m", config)) == Texts{"<abcde>>m>"});
}

TEST_CASE("special tokens that a tokenizer has not are left out", "[encode_text]") {
  const std::vector<TokenId> text{7, 8, 9}, second{5};
  CHECK(frame_tokens(text, {}, {.length = 2}).sequences == std::vector<std::vector<TokenId>>{{7, 8}});
  CHECK(frame_pair(text, second, {.eos = 1}, {.length = 9}).sequences ==
        std::vector<std::vector<TokenId>>{{7, 8, 9, 1, 1, 5, 1}});
  const Error error = error_of([&] { static_cast<void>(frame_pair(text, second, {.bos = 0}, {})); });
  CHECK(error.code() == ErrorCode::invalid_configuration);
  CHECK(error.tensor() == "eos");
}

TEST_CASE("a length without room for text is an error", "[encode_text]") {
  CHECK(shown(encode_text(bytes, "ab", {.length = 3})) == Texts{"<a>"});
  CHECK(shown(encode_pair(bytes, "ab", "xy", {.length = 6})) == Texts{"<a>>x>"});
  CHECK(error_of([&] { static_cast<void>(encode_text(bytes, "ab", {.length = 2})); }).tensor() == "length");
  CHECK(error_of([&] { static_cast<void>(encode_pair(bytes, "ab", "x", {.length = 5})); }).tensor() == "length");
  const EncodeConfig backwards{.length = 9, .on_too_long = windows, .stride = -1};
  CHECK(error_of([&] { static_cast<void>(encode_text(bytes, "ab", backwards)); }).tensor() == "stride");
}
