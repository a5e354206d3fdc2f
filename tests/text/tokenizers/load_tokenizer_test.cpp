#include <linformer/text/tokenizers/load_tokenizer.hpp>

#include "byte_level_vocabulary.hpp"
#include "support/catch.hpp"
#include "support/files.hpp"

#include <string>
#include <vector>

using namespace linformer;
using linformer_test::error_of;

namespace {

using Ids = std::vector<TokenId>;

const std::string bert_vocabulary = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\nA\n\u00E9\ne\n\u4E2D\n##\u4E2D\n";

std::string vocabulary_json(const BytePairVocabulary& pairs) {
  nlohmann::json json = nlohmann::json::object();
  for (std::size_t id = 0; id < pairs.tokens.size(); ++id) json[pairs.tokens[id]] = id;
  return json.dump();
}

}  // namespace

TEST_CASE("a folder with vocab.txt has BERT's tokenizer", "[load_tokenizer]") {
  const linformer_test::TemporaryFolder folder;
  static_cast<void>(folder.write("vocab.txt", bert_vocabulary));
  const PretrainedTokenizer plain = load_tokenizer(folder.path());
  CHECK(std::holds_alternative<WordPieceTokenizer>(plain.kind()));
  CHECK(plain.encode("A \u00E9 a\u4E2D [MASK]").size() == 7);
  CHECK(plain.encode("A \u00E9 a\u4E2D") == Ids{5, 8, 5, 9});
  CHECK(load_tokenizer(folder.path(), {.special_tokens_in_text = true}).encode("[MASK]") == Ids{4});
  static_cast<void>(
      folder.write("tokenizer_config.json",
                   R"({"do_lower_case": false, "tokenize_chinese_chars": false, "model_max_length": 512})"));
  CHECK(load_tokenizer(folder.path()).encode("A \u00E9 a\u4E2D") == Ids{6, 7, 5, 10});
  static_cast<void>(folder.write("tokenizer_config.json", R"({"do_lower_case": false, "strip_accents": true})"));
  CHECK(load_tokenizer(folder.path()).encode("A \u00E9") == Ids{6, 8});
  static_cast<void>(folder.write("tokenizer_config.json", R"({"do_lower_case": "no"})"));
  CHECK(error_of([&] { static_cast<void>(load_tokenizer(folder.path())); }).code() == ErrorCode::malformed_input);
}

TEST_CASE("a folder with vocab.json and merges.txt has RoBERTa's tokenizer", "[load_tokenizer]") {
  const linformer_test::TemporaryFolder folder;
  const BytePairVocabulary vocabulary = linformer_test::byte_level_vocabulary({{"l", "o"}, {"\u0120", "lo"}});
  static_cast<void>(folder.write("vocab.json", vocabulary_json(vocabulary)));
  static_cast<void>(folder.write("merges.txt", "#version: 0.2\nl o\n\u0120 lo\n"));
  CHECK(load_tokenizer(folder.path()).encode("lo lo") == Ids{261, 262});
  static_cast<void>(folder.write("tokenizer_config.json", R"({"add_prefix_space": true})"));
  CHECK(load_tokenizer(folder.path()).encode("lo lo") == Ids{262, 262});

  const auto fault = [&](const char* file, const std::string& text) {
    const linformer_test::TemporaryFolder bad;
    static_cast<void>(bad.write("vocab.json", vocabulary_json(vocabulary)));
    static_cast<void>(bad.write("merges.txt", "l o\n"));
    static_cast<void>(bad.write(file, text));
    const Error error = error_of([&] { static_cast<void>(load_tokenizer(bad.path())); });
    CHECK(error.code() == ErrorCode::malformed_input);
    CHECK(error.tensor() == (bad.path() / file).string());
    return error.actual();
  };
  CHECK(fault("merges.txt", "#version: 0.2\nl o\nl o\n") == "'l o' again in line 3");
  CHECK(fault("merges.txt", "l o\nl  o\n") == "'l  o' in line 2");
  CHECK(fault("merges.txt", "l o\n\nl o\n") == "'' in line 2");
  CHECK(fault("merges.txt", "l o x\n") == "'l o x' in line 1");
  CHECK(fault("merges.txt", "l\n") == "'l' in line 1");
  CHECK(fault("merges.txt", "l o\nl zz\n") == "'zz' in line 2");
  CHECK(fault("vocab.json", R"({"a": 0, "a": 1})") == "'a' again");
  CHECK(fault("vocab.json", R"({"a": 0, "b": 0})") == "0 again for 'b'");
  CHECK(fault("vocab.json", R"({"a": 0, "b": 2})") == "2 for 'b'");
  CHECK(fault("vocab.json", "{}") == "none");
}

TEST_CASE("tokens that are added to a vocabulary, and other ways to cut a text, are refused by name",
          "[load_tokenizer]") {
  const linformer_test::TemporaryFolder folder;
  static_cast<void>(folder.write("vocab.txt", bert_vocabulary));
  const auto load = [&](const char* file, const std::string& text) {
    static_cast<void>(folder.write("added_tokens.json", "{}"));
    static_cast<void>(folder.write("tokenizer_config.json", "{}"));
    static_cast<void>(folder.write(file, text));
    return load_tokenizer(folder.path());
  };
  const auto fault = [&](const char* file, const std::string& text) {
    const Error error = error_of([&] { static_cast<void>(load(file, text)); });
    CHECK(error.tensor().starts_with((folder.path() / file).string() + ": "));
    return error.code();
  };
  CHECK(load("added_tokens.json", R"({"[MASK]": 4})").vocabulary_size() == 11);
  CHECK(fault("added_tokens.json", R"({"new": 11})") == ErrorCode::unsupported);
  CHECK(fault("added_tokens.json", R"({"new": "11"})") == ErrorCode::malformed_input);
  CHECK(load("tokenizer_config.json", R"({"added_tokens_decoder": {"4": {"content": "[MASK]"}}})").vocabulary_size() ==
        11);
  CHECK(fault("tokenizer_config.json", R"({"added_tokens_decoder": {"11": {"content": "new"}}})") ==
        ErrorCode::unsupported);
  CHECK(fault("tokenizer_config.json", R"({"do_basic_tokenize": false})") == ErrorCode::unsupported);
  CHECK(load("tokenizer_config.json", R"({"do_basic_tokenize": true, "never_split": null})").vocabulary_size() == 11);
  CHECK(fault("tokenizer_config.json", R"({"never_split": ["a"]})") == ErrorCode::unsupported);
}

TEST_CASE("tokenizer.json goes before other files, and a folder without any is told", "[load_tokenizer]") {
  const linformer_test::TemporaryFolder folder;
  const auto error = [&] { return error_of([&] { static_cast<void>(load_tokenizer(folder.path())); }); };
  CHECK(error().code() == ErrorCode::unsupported);
  static_cast<void>(folder.write("sentencepiece.bpe.model", ""));
  CHECK(error().actual() == "sentencepiece.bpe.model, which XlmRobertaTokenizer reads");
  static_cast<void>(folder.write("vocab.txt", bert_vocabulary));
  CHECK(load_tokenizer(folder.path()).vocabulary_size() == 11);
  static_cast<void>(folder.write("tokenizer.json", "{}"));
  CHECK(error().tensor().starts_with((folder.path() / "tokenizer.json").string()));
}
