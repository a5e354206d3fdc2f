#include <linformer/text/tokenizers/tokenizer_json.hpp>

#include <linformer/text/encode_text.hpp>

#include "support/catch.hpp"
#include "support/files.hpp"

#include <string>
#include <vector>

using namespace linformer;
using Json = nlohmann::json;
using linformer_test::error_of;

namespace {

std::filesystem::path fixture(const std::string& name) {
#ifdef LINFORMER_TEST_DIR
  const std::filesystem::path tests(LINFORMER_TEST_DIR);
#else
  const std::filesystem::path tests = std::filesystem::path(__FILE__).parent_path().parent_path().parent_path();
#endif
  return tests / "fixtures" / "tokenizers" / name;
}

Json read(const std::string& name) { return Json::parse(read_file(fixture(name))); }

}  // namespace

TEST_CASE("tokens and offsets are those of Hugging Face", "[tokenizer_json]") {
  for (const std::string name : {"wordpiece", "byte_level_bpe"}) {
    const PretrainedTokenizer plain = read_tokenizer_json(fixture(name + ".json")),
                              special = read_tokenizer_json(fixture(name + ".json"), {.special_tokens_in_text = true});
    int texts = 0;
    for (const Json& each : read(name + "_expected.json")) {
      if (!each.contains("text")) {
        const EncodedText pair =
            encode_pair(plain, each["first"].get<std::string>(), each["second"].get<std::string>());
        CHECK(pair.sequences.at(0) == each["ids"].get<std::vector<TokenId>>());
        std::vector<Index> types(pair.sequences.at(0).size());
        for (auto i = static_cast<std::size_t>(pair.second_begins); i < types.size(); ++i) types[i] = 1;
        if (name == "wordpiece") CHECK(types == each["types"].get<std::vector<Index>>());
        continue;
      }
      const PretrainedTokenizer& tokenizer = each["special_tokens_in_text"].get<bool>() ? special : plain;
      const auto text = each["text"].get<std::string>();
      INFO(name << ": " << text);
      const TokensWithOffsets result = tokenizer.encode_with_offsets(text);
      CHECK(result.tokens == each["ids"].get<std::vector<TokenId>>());
      CHECK(tokenizer.encode(text) == result.tokens);
      std::vector<std::vector<Index>> offsets;
      for (const auto& [begin, end] : result.offsets) offsets.push_back({begin, end});
      CHECK(offsets == each["offsets"].get<std::vector<std::vector<Index>>>());
      ++texts;
    }
    CHECK(texts == 34);
  }
}

TEST_CASE("roles of tokens come from the file", "[tokenizer_json]") {
  CHECK(read_tokenizer_json(fixture("wordpiece.json")).special_tokens() ==
        SpecialTokens{.bos = 2, .pad = 0, .eos = 3, .unknown = 1, .mask = 4, .separators = 1});
  CHECK(read_tokenizer_json(fixture("byte_level_bpe.json")).special_tokens() ==
        SpecialTokens{.bos = 0, .pad = 1, .eos = 2, .unknown = 3, .mask = 4, .separators = 2});
}

TEST_CASE("forms that files of other years have are read as well", "[tokenizer_json]") {
  const linformer_test::TemporaryFolder folder;
  const auto load = [&](const Json& json) { return read_tokenizer_json(folder.write("t.json", json.dump())); };
  const std::string text = "The keeper's letters, 4.5 metres";

  const Json bpe = read("byte_level_bpe.json");
  const auto tokens = load(bpe).encode(text);
  Json old = bpe;
  old["model"].erase("type");
  for (Json& merge : old["model"]["merges"]) {
    merge = merge.is_string() ? merge : Json(merge[0].get<std::string>() + " " + merge[1].get<std::string>());
  }
  CHECK(load(old).encode(text) == tokens);
  Json pairs = old;
  for (Json& merge : pairs["model"]["merges"]) {
    const auto line = merge.get<std::string>();
    const auto space = line.find(' ');
    merge = {line.substr(0, space), line.substr(space + 1)};
  }
  CHECK(load(pairs).encode(text) == tokens);
  Json bare = bpe;
  bare["post_processor"] = nullptr;
  CHECK(load(bare).encode(text) == tokens);
  CHECK(load(bare).special_tokens().bos == no_token);
  CHECK(load(bare).encode_with_offsets(" the").offsets.front().begin == 0);  // nobody trims
  Json sequence = bpe;
  sequence["post_processor"] = {
      {"type", "Sequence"},
      {"processors",
       {{{"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", false}},
        {{"type", "TemplateProcessing"},
         {"single", {{{"SpecialToken", {{"id", "<s>"}}}}, {{"Sequence", {{"id", "A"}}}}}},
         {"pair", {{{"SpecialToken", {{"id", "<s>"}}}}, {{"Sequence", {{"id", "A"}}}}, {{"Sequence", {{"id", "B"}}}}}},
         {"special_tokens", {{"<s>", {{"id", "<s>"}, {"ids", {0}}, {"tokens", {"<s>"}}}}}}}}}};
  CHECK(load(sequence).special_tokens().bos == 0);
  CHECK(load(sequence).special_tokens().eos == no_token);

  Json wordpiece = read("wordpiece.json");
  const auto words = load(wordpiece).encode(text);
  wordpiece["model"].erase("type");
  wordpiece["post_processor"] = {{"type", "BertProcessing"}, {"sep", {"[SEP]", 3}}, {"cls", {"[CLS]", 2}}};
  CHECK(load(wordpiece).encode(text) == words);
  CHECK(load(wordpiece).special_tokens().separators == 1);
  wordpiece["normalizer"] = nullptr;
  CHECK(load(wordpiece).encode("The the").front() == 1);
}

TEST_CASE("tokens beyond the vocabulary are found in a text, and spell nothing", "[tokenizer_json]") {
  const linformer_test::TemporaryFolder folder;
  for (const std::string name : {"wordpiece", "byte_level_bpe"}) {
    Json json = read(name + ".json");
    const auto size = static_cast<Index>(json["model"]["vocab"].size());
    const auto added = [](Index id, const char* text, bool special) {
      return Json{{"id", id},        {"content", text},     {"single_word", false}, {"lstrip", false},
                  {"rstrip", false}, {"normalized", false}, {"special", special}};
    };
    json["added_tokens"].push_back(added(size, "qqq", false));
    json["added_tokens"].push_back(added(size + 1, "zzz", true));
    const auto tokenizer = read_tokenizer_json(folder.write("t.json", json.dump()));
    CHECK(tokenizer.vocabulary_size() == size + 2);
    const auto first = static_cast<TokenId>(size);
    const auto tokens = tokenizer.encode("theqqq zzz");
    CHECK(std::count(tokens.begin(), tokens.end(), first) == 1);
    CHECK(std::count(tokens.begin(), tokens.end(), first + 1) == 0);
    CHECK(tokenizer.piece(first) == "qqq");
    CHECK(tokenizer.decode(std::vector<TokenId>{first, first + 1}) == "qqq");
  }
}

TEST_CASE("what a file has wrong, or asks for in vain, is named", "[tokenizer_json]") {
  const linformer_test::TemporaryFolder folder;
  const auto path = folder.path() / "t.json";
  const auto error_in = [&](const std::string& text) {
    static_cast<void>(folder.write("t.json", text));
    return error_of([&] { static_cast<void>(read_tokenizer_json(path)); });
  };
  const auto fault = [&](const std::string& name, const char* pointer, const Json& value, ErrorCode code) {
    Json json = read(name + ".json");
    json[Json::json_pointer(pointer)] = value;
    const Error error = error_in(json.dump());
    INFO(pointer << ": " << error.what());
    CHECK(error.code() == code);
    REQUIRE(error.tensor().starts_with(path.string()));
    return error.tensor().substr(path.string().size());
  };
  const auto unsupported = [&](const std::string& name, const char* pointer, const Json& value) {
    return fault(name, pointer, value, ErrorCode::unsupported);
  };
  const auto malformed = [&](const std::string& name, const char* pointer, const Json& value) {
    return fault(name, pointer, value, ErrorCode::malformed_input);
  };
  const std::string bpe = "byte_level_bpe", words = "wordpiece";
  CHECK(unsupported(bpe, "/model/type", "Unigram") == ": model.type");
  CHECK(unsupported(bpe, "/normalizer", {{"type", "NFC"}}) == ": normalizer");
  CHECK(unsupported(bpe, "/pre_tokenizer", {{"type", "Whitespace"}}) == ": pre_tokenizer");
  CHECK(unsupported(bpe, "/pre_tokenizer/use_regex", false) == ": pre_tokenizer.use_regex");
  CHECK(unsupported(bpe, "/model/dropout", 0.1) == ": model.dropout");
  CHECK(unsupported(bpe, "/model/end_of_word_suffix", "</w>") == ": model.end_of_word_suffix");
  CHECK(unsupported(bpe, "/model/byte_fallback", true) == ": model.byte_fallback");
  CHECK(unsupported(bpe, "/post_processor/type", "Other") == ": post_processor.type");
  CHECK(unsupported(bpe, "/post_processor/add_prefix_space", true) == ": post_processor.add_prefix_space");
  CHECK(unsupported(words, "/normalizer/type", "Sequence") == ": normalizer.type");
  CHECK(unsupported(words, "/pre_tokenizer", nullptr) == ": pre_tokenizer");
  CHECK(unsupported(words, "/post_processor/single/1/Sequence/id", "B") == ": post_processor.single[1].Sequence.id");
  CHECK(unsupported(words, "/post_processor/pair/2/SpecialToken/id", "[CLS]") == ": post_processor.pair");
  CHECK(unsupported(words, "/post_processor/single/0/SpecialToken/type_id", 1) ==
        ": post_processor.single[0].SpecialToken.type_id");
  CHECK(unsupported(words, "/post_processor/pair/3/Sequence/type_id", 0) ==
        ": post_processor.pair[3].Sequence.type_id");
  CHECK(unsupported(words, "/post_processor/pair/4/SpecialToken/type_id", 0) ==
        ": post_processor.pair[4].SpecialToken.type_id");
  CHECK(malformed(bpe, "/post_processor/cls/1", 9) == ": post_processor.cls");
  CHECK(malformed(bpe, "/model/vocab/a", 7).empty());
  CHECK(malformed(bpe, "/model/vocab/new", 100000).empty());
  CHECK(malformed(bpe, "/model/vocab/new", -1) == ": model.vocab.new");
  CHECK(malformed(bpe, "/model/vocab", 3) == ": model.vocab");
  CHECK(malformed(bpe, "/model/merges/4", "a b c").empty());
  CHECK(malformed(bpe, "/model/merges/4", "qq zz").empty());
  CHECK(malformed(bpe, "/model/merges/4", {"a"}) == ": model.merges[4]");
  CHECK(malformed(bpe, "/model/merges", "a b") == ": model.merges");
  CHECK(malformed(bpe, "/added_tokens/0/id", 3) == ": added_tokens[0].id");
  CHECK(malformed(bpe, "/added_tokens/1/content", "<s>") == ": added_tokens[1].id");
  CHECK(malformed(words, "/model/unk_token", "[X]").empty());
  CHECK(malformed(words, "/normalizer/lowercase", "yes") == ": normalizer.lowercase");
  CHECK(malformed(words, "/model/max_input_chars_per_word", -3) == ": model.max_input_chars_per_word");
  for (const char* text : {"", "{", "[1]", "3", "{\"model\": 3}"}) {
    CHECK(error_in(text).code() == ErrorCode::malformed_input);
  }
  CHECK(error_in("{\"a\": {\"b\": 1, \"b\": 2}}").actual() == "'b' again");
  CHECK(error_in(std::string(100'000, '[')).code() == ErrorCode::malformed_input);
  CHECK(error_of([&] { static_cast<void>(read_tokenizer_json(folder.path() / "absent")); }).code() ==
        ErrorCode::file_access);
}
