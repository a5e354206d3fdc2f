#include <linformer/text/byte_tokenizer.hpp>

#include "support/catch.hpp"
#include "support/files.hpp"

#include <string>
#include <vector>

using namespace linformer;

TEST_CASE("bytes follow the five special tokens", "[byte_tokenizer]") {
  const ByteTokenizer tokenizer;
  CHECK(tokenizer.vocabulary_size() == 261);
  CHECK(tokenizer.special_tokens() == SpecialTokens{.bos = 0, .pad = 1, .eos = 2, .unknown = 3, .mask = 4});
  CHECK(tokenizer.encode(std::string("A\0\xFF", 3)) == std::vector<TokenId>{70, 5, 260});
}

TEST_CASE("any bytes come back", "[byte_tokenizer]") {
  const ByteTokenizer tokenizer;
  std::string all;
  for (int a = 0; a < 256; ++a) {
    for (int b = 0; b < 256; ++b) all += {static_cast<char>(a), static_cast<char>(b)};
  }
  CHECK(tokenizer.decode(tokenizer.encode(all)) == all);
  CHECK(tokenizer.decode({}).empty());
}

TEST_CASE("special tokens spell nothing, and other ids are errors", "[byte_tokenizer]") {
  const ByteTokenizer tokenizer;
  CHECK(tokenizer.decode(std::vector<TokenId>{0, 102, 4, 103, 2, 1, 3}) == "ab");
  for (const TokenId id : {-1, 261}) {
    const Error error = linformer_test::error_of([&] { static_cast<void>(tokenizer.decode({&id, 1})); });
    CHECK(error.code() == ErrorCode::malformed_input);
    CHECK(error.actual() == std::to_string(id));
  }
}
