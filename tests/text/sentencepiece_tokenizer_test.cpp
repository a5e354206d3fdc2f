#include <linformer/text/sentencepiece_tokenizer.hpp>

#include <linformer/text/encode_text.hpp>

#include "support/catch.hpp"
#include "support/files.hpp"

#include <string>

using namespace linformer;
using linformer_test::error_of;

namespace {

/// Sentences of few words, all different.
std::string some_text() {
  const char* who[] = {"the cat", "a small dog", "my neighbour", "the old captain", "nobody"};
  const char* does[] = {"sees", "follows", "remembers", "paints", "understands"};
  const char* what[] = {"the sea", "a house on the hill", "the morning", "seven questions", "the long sentence"};
  std::string text;
  for (const char* a : who) {
    for (const char* b : does) {
      for (const char* c : what) text += std::string(a) + " " + b + " " + c + " .\n";
    }
  }
  return text;
}

}  // namespace

TEST_CASE("the test model of XLM-R gives its ids", "[sentencepiece][data]") {
  const auto path = linformer_test::data_file("tokenizers/sentencepiece/test_sentencepiece.model");
  if (!path) return;
  const SentencePieceTokenizer tokenizer(*path);
  const std::vector<TokenId> tokens{285, 46, 10, 170, 382};
  CHECK(tokenizer.encode("This is a test") == tokens);
  CHECK(tokenizer.decode(tokens) == "This is a test");
  CHECK(tokenizer.vocabulary_size() == 1000);
  CHECK(tokenizer.special_tokens() == SpecialTokens{.bos = 1, .pad = no_token, .eos = 2, .unknown = 0});
}

TEST_CASE("a model is trained, written and read, the same every time", "[sentencepiece]") {
  const linformer_test::TemporaryFolder folder;
  const std::string text = some_text();
  const std::vector<std::filesystem::path> files{folder.write("a, with a comma", text.substr(0, 2000)),
                                                 folder.write("b", text.substr(2000))};
  for (const auto kind : {SentencePieceKind::unigram, SentencePieceKind::bpe}) {
    const SentencePieceConfig config{.kind = kind, .vocabulary_size = 50};
    const auto path = folder.path() / "model";
    train_sentencepiece(files, path, config);
    CHECK(read_file(path) == train_sentencepiece(files, config));
    const SentencePieceTokenizer tokenizer(path);
    CHECK(tokenizer.vocabulary_size() == 50);
    CHECK(tokenizer.special_tokens() == leading_special_tokens);
    CHECK(tokenizer.piece(4) == "<mask>");
    const std::string sentence = "the small captain understands a question on the hill .";
    const auto tokens = tokenizer.encode(sentence);
    CHECK(tokens.size() < sentence.size());
    CHECK(tokenizer.decode(tokens) == sentence);
    CHECK(tokenizer.encode("the \xE4\xB8\xAD").back() == 3);  // a character that the text has not
    const auto masked = tokenizer.encode("the <mask> sees");
    CHECK(std::count(masked.begin(), masked.end(), 4) == 1);
    const auto framed = encode_text(tokenizer, sentence, {.length = 6}).sequences.at(0);
    CHECK(framed.front() == 0);
    CHECK(framed.back() == 2);
    CHECK(tokenizer.decode(framed) == tokenizer.decode(std::span(tokens).first(4)));
  }
}

TEST_CASE("with bytes to fall back on and no normalisation, any text comes back", "[sentencepiece]") {
  const linformer_test::TemporaryFolder folder;
  const std::vector<std::filesystem::path> files{folder.write("a", some_text())};
  const SentencePieceTokenizer tokenizer(train_sentencepiece(files, {.kind = SentencePieceKind::bpe,
                                                                     .vocabulary_size = 340,
                                                                     .normalization = "identity",
                                                                     .keep_white_space = true,
                                                                     .byte_fallback = true}),
                                         "model");
  for (const char* text :
       {"  two  spaces ", "\xEF\xBC\xA1 full width", "\xE4\xB8\xAD\xF0\x9F\x98\x80", "tab\tline\n", ""}) {
    const auto tokens = tokenizer.encode(text);
    CHECK(tokenizer.decode(tokens) == text);
    CHECK(std::count(tokens.begin(), tokens.end(), 3) == 0);
  }
}

TEST_CASE("what is no model, no id and no training text are errors", "[sentencepiece]") {
  const linformer_test::TemporaryFolder folder;
  const auto bad = folder.write("bad", "no model at all"), empty = folder.write("empty", "\n\n");
  const auto open = [](const std::filesystem::path& path) { return SentencePieceTokenizer(path); };
  CHECK(error_of([&] { open(bad); }).code() == ErrorCode::malformed_input);
  CHECK(error_of([&] { open(empty); }).tensor() == empty.string());
  CHECK(error_of([&] { open(folder.path() / "absent"); }).code() == ErrorCode::file_access);
  const auto train = [](const std::vector<std::filesystem::path>& files, Index size) {
    return train_sentencepiece(files, {.vocabulary_size = size});
  };
  CHECK(error_of([&] { static_cast<void>(train({empty}, 50)); }).tensor() == "files");
  CHECK(error_of([&] { static_cast<void>(train({folder.path() / "absent"}, 50)); }).code() == ErrorCode::file_access);
  const auto text = folder.write("text", some_text());
  const Error large = error_of([&] { static_cast<void>(train({text}, 50'000)); });
  CHECK(large.code() == ErrorCode::invalid_configuration);
  const SentencePieceTokenizer tokenizer(train({text}, 50), "model");
  for (const TokenId id : {-1, 50}) {
    CHECK(error_of([&] { static_cast<void>(tokenizer.decode({&id, 1})); }).code() == ErrorCode::malformed_input);
  }
}
