#include <linformer/text/tokenizers/byte_level_bpe_tokenizer.hpp>

#include <linformer/text/encode_text.hpp>

#include "byte_level_vocabulary.hpp"
#include "support/catch.hpp"
#include "support/files.hpp"

#include <string>
#include <vector>

using namespace linformer;
using linformer_test::byte_level_vocabulary;
using linformer_test::error_of;

namespace {

using Ids = std::vector<TokenId>;
using Ranges = std::vector<ByteRange>;

constexpr TokenId byte(unsigned char value) { return 5 + value; }

// 261 "lo", 262 "low", 263 " low", 264 "er", 265 "  ", 266 é, 267 "e" and the first byte of é
const BytePairVocabulary vocabulary = byte_level_vocabulary({{"l", "o"},
                                                             {"lo", "w"},
                                                             {"\u0120", "low"},
                                                             {"e", "r"},
                                                             {"\u0120", "\u0120"},
                                                             {"\u00C3", "\u00A9"},
                                                             {"e", "\u00C3"}});

ByteLevelBpeTokenizer make(ByteLevelBpeConfig config = {}) { return {vocabulary, std::move(config)}; }

}  // namespace

TEST_CASE("bytes are merged within the pieces of a text", "[byte_level_bpe]") {
  const ByteLevelBpeTokenizer tokenizer = make();
  CHECK(tokenizer.encode("") == Ids{});
  CHECK(tokenizer.encode("low lower") == Ids{262, 263, 264});
  CHECK(tokenizer.encode("lol") == Ids{261, byte('l')});
  CHECK(tokenizer.encode("   low") == Ids{265, 263});
  CHECK(tokenizer.encode("\u00E9") == Ids{266});
  CHECK(tokenizer.encode("e\u00E9") == Ids{byte('e'), 266});
  CHECK(tokenizer.encode("e\u00C5") == Ids{267, byte(0x85)});
  CHECK(tokenizer.vocabulary_size() == 268);
  CHECK(tokenizer.special_tokens() == SpecialTokens{.bos = 0, .pad = 1, .eos = 2, .unknown = 3, .mask = 4});
  CHECK(tokenizer.piece(263) == " low");
}

TEST_CASE("any UTF-8 decodes to itself", "[byte_level_bpe]") {
  const ByteLevelBpeTokenizer tokenizer = make();
  std::string all("\0\x01 ", 3);
  for (const char32_t c : {U'a', U'\u00E9', U'\u4E2D', U'\U0001F600', U'\U0010FFFF', U' '}) detail::append_utf8(c, all);
  CHECK(tokenizer.decode(tokenizer.encode(all)) == all);
  CHECK(tokenizer.decode(Ids{0, 262, 4, 2}) == "low");
  CHECK(tokenizer.decode(tokenizer.encode("a\xFF"
                                          "b")) ==
        "a\uFFFD"
        "b");
  for (const TokenId id : {-1, 268}) {
    CHECK(error_of([&] { static_cast<void>(tokenizer.decode({&id, 1})); }).code() == ErrorCode::malformed_input);
  }
}

TEST_CASE("a long piece is merged as a short one is", "[byte_level_bpe]") {
  const ByteLevelBpeTokenizer tokenizer = make();
  std::string text;
  Ids expected;
  for (int i = 0; i < 40; ++i) {
    text += "lower";
    expected.insert(expected.end(), {262, 264});
  }
  CHECK(tokenizer.encode(text) == expected);
  CHECK(tokenizer.encode(text.substr(0, 20)) == Ids(expected.begin(), expected.begin() + 8));
}

TEST_CASE("offsets are whole code points, without spaces at either end", "[byte_level_bpe]") {
  const std::string text = "low  low\u00C5 \u4E2De\u00C5";  // bytes 0-2, 3, 4-7, 8-9, 10, 11-13, 14, 15-16
  const auto result = make().encode_with_offsets(text);
  CHECK(result.tokens == Ids{262, byte(' '), 263, byte(0xC3), byte(0x85), byte(' '), byte(0xE4), byte(0xB8), byte(0xAD),
                             267, byte(0x85)});
  CHECK(result.offsets ==
        Ranges{{0, 3}, {4, 4}, {5, 8}, {8, 10}, {8, 10}, {11, 11}, {11, 14}, {11, 14}, {11, 14}, {14, 17}, {15, 17}});
  const auto whole = make({.trim_offsets = false}).encode_with_offsets(text);
  CHECK(whole.tokens == result.tokens);
  CHECK(whole.offsets[1] == ByteRange{3, 4});
  CHECK(whole.offsets[2] == ByteRange{4, 8});
}

TEST_CASE("bytes that are not UTF-8 are U+FFFD, with offsets of their own", "[byte_level_bpe]") {
  const ByteLevelBpeTokenizer tokenizer = make();
  const std::string text =
      "low\xE2\x82\xFF"
      "low";
  const auto result = tokenizer.encode_with_offsets(text);
  CHECK(result.tokens == tokenizer.encode("low\uFFFD\uFFFDlow"));
  CHECK(tokenizer.encode(text) == result.tokens);
  REQUIRE(result.offsets.size() == 8);
  CHECK(result.offsets[1] == ByteRange{3, 5});
  CHECK(result.offsets[3] == ByteRange{3, 5});
  CHECK(result.offsets[4] == ByteRange{5, 6});
  CHECK(result.offsets[7] == ByteRange{6, 9});
}

TEST_CASE("a space may be put before a text", "[byte_level_bpe]") {
  const ByteLevelBpeTokenizer tokenizer = make({.add_prefix_space = true});
  CHECK(tokenizer.encode("") == Ids{});
  const auto result = tokenizer.encode_with_offsets("lower low");
  CHECK(result.tokens == Ids{263, 264, 263});
  CHECK(result.offsets == Ranges{{0, 3}, {3, 5}, {6, 9}});
  CHECK(tokenizer.encode(" low") == Ids{263});
}

TEST_CASE("special tokens in a text are text unless they are asked for, <mask> with the space before it",
          "[byte_level_bpe]") {
  CHECK(make().encode("<mask>").size() == 6);
  const auto result = make({.special_tokens_in_text = true}).encode_with_offsets("low  <mask> low</s>");
  CHECK(result.tokens == Ids{262, 4, 263, 2});
  CHECK(result.offsets == Ranges{{0, 3}, {5, 11}, {12, 15}, {15, 19}});
  const auto other_white_space = make({.special_tokens_in_text = true}).encode_with_offsets("low\t\u3000<mask>low");
  CHECK(other_white_space.tokens == Ids{262, 4, 262});
  CHECK(other_white_space.offsets == Ranges{{0, 3}, {7, 13}, {13, 16}});
}

TEST_CASE("a token that merges do not reach is used where merges are ignored", "[byte_level_bpe]") {
  BytePairVocabulary more = vocabulary;
  more.tokens.emplace_back("we");
  CHECK(ByteLevelBpeTokenizer(more, {}).encode("we") == Ids{byte('w'), byte('e')});
  CHECK(ByteLevelBpeTokenizer(more, {.ignore_merges = true}).encode("we") == Ids{268});
}

TEST_CASE("a pair has two separators", "[byte_level_bpe]") {
  const EncodedText pair = encode_pair(make(), "low", "lower", {.length = 9});
  CHECK(pair.sequences == std::vector<Ids>{{0, 262, 2, 2, 262, 264, 2}});
  CHECK(pair.second_begins == 4);
}

TEST_CASE("faults of a vocabulary and of merges are named", "[byte_level_bpe]") {
  const auto fault = [](const auto& change) {
    BytePairVocabulary bad = vocabulary;
    change(bad);
    Error error = error_of([&] { ByteLevelBpeTokenizer(bad, {}, "v", "m"); });
    CHECK(error.code() == ErrorCode::malformed_input);
    return error.tensor() + ": " + error.actual();
  };
  CHECK(fault([](auto& bad) { bad.tokens.push_back("low"); }) == "v: 'low' as 262 and 268");
  CHECK(fault([](auto& bad) { bad.tokens[byte('a')] = "aa"; }) == "v: no 'a'");
  CHECK(fault([](auto& bad) { bad.tokens[4] = "<m>"; }) == "v: none");
  CHECK(fault([](auto& bad) { bad.merges[2] = bad.merges[0]; }) == "m: 'l o' again in merge 3");
  CHECK(fault([](auto& bad) { bad.merges[1] = {"zz", "o"}; }) == "m: 'zz' in merge 2");
  CHECK(fault([](auto& bad) { bad.merges[1] = {"l", "zz"}; }) == "m: 'zz' in merge 2");
  CHECK(fault([](auto& bad) { bad.merges[1] = {"o", "o"}; }) == "m: 'oo' in merge 2");
  const std::vector<AddedToken> added{{.text = "low", .id = 5}};
  CHECK(error_of([&] { ByteLevelBpeTokenizer(vocabulary, {}, "v", "m", added); }).actual() == "'low' as 5");
}
