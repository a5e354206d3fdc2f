#include <linformer/text/tokenizer.hpp>

#include "support/catch.hpp"

using namespace linformer;

namespace {

struct Lengths {
  [[nodiscard]] std::vector<TokenId> encode(std::string_view text) const { return {static_cast<TokenId>(text.size())}; }
  [[nodiscard]] std::string decode(std::span<const TokenId>) const { return {}; }
  [[nodiscard]] Index vocabulary_size() const { return 10; }
  [[nodiscard]] SpecialTokens special_tokens() const { return {}; }
};

struct NoVocabulary {
  [[nodiscard]] std::vector<TokenId> encode(std::string_view) const { return {}; }
  [[nodiscard]] std::string decode(std::span<const TokenId>) const { return {}; }
};

}  // namespace

TEST_CASE("a tokenizer is what encodes, decodes and knows its vocabulary", "[tokenizer]") {
  CHECK(Tokenizer<Lengths>);
  CHECK_FALSE(Tokenizer<NoVocabulary>);
  CHECK_FALSE(Tokenizer<int>);
}

TEST_CASE("a tokenizer has the special tokens that it names", "[tokenizer]") {
  CHECK(SpecialTokens{}.mask == no_token);
  CHECK(SpecialTokens{.pad = 3} != SpecialTokens{});
}
