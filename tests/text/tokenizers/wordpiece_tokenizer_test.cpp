#include <linformer/text/tokenizers/wordpiece_tokenizer.hpp>

#include <linformer/text/encode_text.hpp>

#include "support/catch.hpp"
#include "support/files.hpp"

#include <string>
#include <thread>
#include <vector>

using namespace linformer;
using linformer_test::error_of;

namespace {

using Ids = std::vector<TokenId>;

const std::vector<std::string> vocabulary{"[PAD]",  "[UNK]", "[CLS]", "[SEP]", "[MASK]", "un", "##aff",
                                          "##able", "##a",   "able",  ",",     "\u4E2D", "e",  "##\u00E9",
                                          "[",      "]",     "mask",  "x",     "##x"};

std::string lines(const std::vector<std::string>& tokens, const std::string& end = "\n") {
  std::string text;
  for (const std::string& token : tokens) text += token + end;
  return text;
}

std::vector<std::string> without(const std::string& token) {
  std::vector<std::string> tokens = vocabulary;
  std::erase(tokens, token);
  return tokens;
}

}  // namespace

TEST_CASE("a word is spelled by the longest tokens from the left, or is unknown", "[wordpiece]") {
  const WordPieceTokenizer tokenizer(vocabulary);
  CHECK(tokenizer.encode("") == Ids{});
  CHECK(tokenizer.encode("UNaffable, able") == Ids{5, 6, 7, 10, 9});
  CHECK(tokenizer.encode("unaffa") == Ids{5, 6, 8});
  CHECK(tokenizer.encode("unaffq able") == Ids{1, 9});  // one part that cannot be spelled, and the word is unknown
  CHECK(tokenizer.encode("un\u4E2Dable") == Ids{5, 11, 9});
  CHECK(tokenizer.encode("\u00C9") == Ids{12});
  CHECK(tokenizer.vocabulary_size() == 19);
  CHECK(tokenizer.special_tokens() ==
        SpecialTokens{.bos = 2, .pad = 0, .eos = 3, .unknown = 1, .mask = 4, .separators = 1});
  CHECK(tokenizer.piece(6) == "##aff");
}

TEST_CASE("a word of more than 100 code points is unknown", "[wordpiece]") {
  const WordPieceTokenizer tokenizer(vocabulary, {.normalization = {.lowercase = false}});
  CHECK(tokenizer.encode(std::string(100, 'x')).size() == 100);
  CHECK(tokenizer.encode(std::string(101, 'x')) == Ids{1});
  std::string accents = "e";
  for (int i = 0; i < 99; ++i) accents += "\u00E9";  // 199 bytes
  CHECK(tokenizer.encode(accents).size() == 100);
  CHECK(tokenizer.encode(accents + "\u00E9") == Ids{1});
}

TEST_CASE("offsets are those of the text before it was normalised", "[wordpiece]") {
  const WordPieceTokenizer tokenizer(vocabulary);
  const auto result = tokenizer.encode_with_offsets("\x01U\u200BNaffable,\u3000E\u0301\u4E2D qqq");
  CHECK(result.tokens == Ids{5, 6, 7, 10, 12, 11, 1});
  const std::vector<ByteRange> offsets{{1, 6}, {6, 9}, {9, 13}, {13, 14}, {17, 18}, {20, 23}, {24, 27}};
  CHECK(result.offsets == offsets);
  CHECK(tokenizer.encode("\x01U\u200BNaffable,\u3000E\u0301\u4E2D qqq") == result.tokens);
  CHECK(tokenizer
            .encode_with_offsets("un\xE2\x82"
                                 "able")
            .offsets == std::vector<ByteRange>{{0, 2}, {4, 8}});
}

TEST_CASE("special tokens in a text are text unless they are asked for", "[wordpiece]") {
  CHECK(WordPieceTokenizer(vocabulary).encode("able[MASK] able") == Ids{9, 14, 16, 15, 9});
  const WordPieceTokenizer special(vocabulary, {.special_tokens_in_text = true});
  const auto result = special.encode_with_offsets("able[MASK] able[mask]");
  CHECK(result.tokens == Ids{9, 4, 9, 14, 16, 15});
  CHECK(result.offsets[1] == ByteRange{4, 10});
  CHECK(special.decode(result.tokens) == "able able [ mask ]");
}

TEST_CASE("decoding joins what goes on a word", "[wordpiece]") {
  const WordPieceTokenizer tokenizer(vocabulary);
  CHECK(tokenizer.decode(Ids{2, 5, 6, 7, 10, 9, 3}) == "unaffable , able");
  CHECK(tokenizer.decode(Ids{}).empty());
  for (const TokenId id : {-1, 19}) {
    CHECK(error_of([&] { static_cast<void>(tokenizer.decode({&id, 1})); }).code() == ErrorCode::malformed_input);
  }
}

TEST_CASE("a pair has one separator, and says where types change", "[wordpiece]") {
  const WordPieceTokenizer tokenizer(vocabulary);
  const EncodedText pair = encode_pair(tokenizer, "able", "un,", {.length = 9});
  CHECK(pair.sequences == std::vector<Ids>{{2, 9, 3, 5, 10, 3}});
  CHECK(pair.second_begins == 3);
}

TEST_CASE("vocab.txt is read, and its faults are named", "[wordpiece]") {
  const linformer_test::TemporaryFolder folder;
  const auto good = folder.write("vocab.txt", lines(vocabulary)), dos = folder.write("dos", lines(vocabulary, "\r\n"));
  CHECK(WordPieceTokenizer(good).encode("unaffable") == Ids{5, 6, 7});
  CHECK(WordPieceTokenizer(dos).encode("unaffable") == Ids{5, 6, 7});
  const auto fault = [&](const std::string& text) {
    const auto file = folder.write("bad", text);
    Error error = error_of([&] { WordPieceTokenizer{file}; });
    CHECK(error.code() == ErrorCode::malformed_input);
    CHECK(error.tensor() == file.string());
    return error;
  };
  CHECK(fault(lines(vocabulary) + "un\n").actual() == "'un' as 5 and 19");
  CHECK(fault(lines(vocabulary) + "\nz\n").actual() == "none on line 20");
  CHECK(fault("").expected() == "the special token '[CLS]'");
  for (const char* name : {"[CLS]", "[SEP]", "[PAD]", "[UNK]", "[MASK]"}) {
    CHECK(fault(lines(without(name))).expected() == std::string("the special token '") + name + "'");
  }
  CHECK(error_of([&] { WordPieceTokenizer{folder.path() / "absent"}; }).code() == ErrorCode::file_access);
  CHECK(error_of([] { WordPieceTokenizer(vocabulary, {.longest_word = 0}); }).tensor() == "longest_word");
  CHECK(error_of([] { WordPieceTokenizer(vocabulary, {.special = {}}); }).code() == ErrorCode::malformed_input);
}

TEST_CASE("threads share a tokenizer", "[wordpiece]") {
  const WordPieceTokenizer tokenizer(vocabulary);
  std::vector<Ids> results(4);
  std::vector<std::thread> threads;
  for (Ids& result : results) {
    threads.emplace_back([&] {
      for (int i = 0; i < 200; ++i) result = tokenizer.encode("unaffable \u00C9, able");
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const Ids& result : results) CHECK(result == Ids{5, 6, 7, 12, 10, 9});
}
