#include <linformer/text/sentencepiece_xlm_roberta.hpp>

#include <linformer/text/encode_text.hpp>

#include "support/catch.hpp"
#include "support/files.hpp"

#include <string>

using namespace linformer;
using linformer_test::error_of;

namespace {

/// A model with the ids that SentencePiece gives by itself: <unk> 0, <s> 1, </s> 2, no <pad>.
std::string model(const linformer_test::TemporaryFolder& folder) {
  std::string text;
  for (const char* who : {"the cat", "a small dog", "my neighbour", "nobody"}) {
    for (const char* does : {"sees", "follows", "remembers", "paints"}) {
      for (const char* what : {"the sea", "a house", "the morning"}) {
        text += std::string(who) + " " + does + " " + what + "\n";
      }
    }
  }
  const auto file = folder.write("text", text);
  const auto status = sentencepiece::SentencePieceTrainer::Train({{"input", file.string()},
                                                                  {"model_prefix", (folder.path() / "m").string()},
                                                                  {"vocab_size", "30"},
                                                                  {"minloglevel", "2"}});
  if (!status.ok()) throw std::runtime_error(status.ToString());
  return read_file(folder.path() / "m.model");
}

}  // namespace

TEST_CASE("pieces have the ids of fairseq", "[sentencepiece][xlm_roberta]") {
  const linformer_test::TemporaryFolder folder;
  const std::string bytes = model(folder);
  const SentencePieceTokenizer raw(bytes, "m");
  const XlmRobertaTokenizer tokenizer(bytes, "m");
  CHECK(tokenizer.vocabulary_size() == 32);
  CHECK(tokenizer.special_tokens() == SpecialTokens{.bos = 0, .pad = 1, .eos = 2, .unknown = 3, .mask = 31});
  const std::string text = "my small cat sees a \xE4\xB8\xAD house";
  std::vector<TokenId> expected = raw.encode(text);
  CHECK(std::count(expected.begin(), expected.end(), 0) == 1);
  for (TokenId& token : expected) token = token == 0 ? 3 : token + 1;
  CHECK(tokenizer.encode(text) == expected);
  CHECK(tokenizer.decode(tokenizer.encode(text)) == raw.decode(raw.encode(text)));
  auto framed = encode_text(tokenizer, "the sea").sequences.at(0);
  CHECK(framed.front() == 0);
  CHECK(framed.back() == 2);
  framed.push_back(31);
  framed.push_back(1);
  CHECK(tokenizer.decode(framed) == "the sea");
  CHECK(tokenizer.encode("<mask>").front() != 31);
  for (const TokenId id : {-1, 32}) {
    CHECK(error_of([&] { static_cast<void>(tokenizer.decode({&id, 1})); }).code() == ErrorCode::malformed_input);
  }
}

TEST_CASE("a model with other ids is refused", "[sentencepiece][xlm_roberta]") {
  const linformer_test::TemporaryFolder folder;
  const std::vector<std::filesystem::path> files{folder.write("text", "the cat sees the sea and the dog\n")};
  const std::string ours = train_sentencepiece(files, {.vocabulary_size = 16});
  const Error error = error_of([&] { XlmRobertaTokenizer(ours, "m"); });
  CHECK(error.code() == ErrorCode::malformed_input);
  CHECK(error.actual() == "3, 0 and 2");
  CHECK(error_of([&] { XlmRobertaTokenizer{folder.path() / "absent"}; }).code() == ErrorCode::file_access);
}

TEST_CASE("XLM-R's test model gives the ids of Hugging Face", "[sentencepiece][xlm_roberta][data]") {
  const auto path = linformer_test::data_file("tokenizers/sentencepiece/test_sentencepiece.model");
  if (!path) return;
  const XlmRobertaTokenizer tokenizer(*path);
  CHECK(tokenizer.encode("This is a test") == std::vector<TokenId>{286, 47, 11, 171, 383});
  CHECK(tokenizer.decode(tokenizer.encode("This is a test")) == "This is a test");
  CHECK(tokenizer.vocabulary_size() == 1002);
  CHECK(tokenizer.special_tokens().mask == 1001);
}
