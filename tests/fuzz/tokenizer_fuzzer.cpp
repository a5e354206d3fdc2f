// Any bytes are either refused by an Error that names them, or are a tokenizer, whose tokens of some texts are of its
// vocabulary and have offsets within the text. They are read as tokenizer.json, as a patch of ones that are right (RFC
// 7386), as vocab.txt, and as merges.txt beside a vocabulary.
#include <linformer/text/tokenizers/tokenizer_json.hpp>

#include "../text/tokenizers/byte_level_vocabulary.hpp"

#include <cstdint>
#include <cstdlib>
#include <sstream>
#include <string>

namespace {

using namespace linformer;

void require(bool holds) {
  if (!holds) std::abort();
}

template <class Function>
void refuse_or(const Function& f) try {
  f();
} catch (const Error& error) {
  require(error.tensor().starts_with("input"));
}

void check(const auto& tokenizer) {
  for (const std::string_view text : {"", " The [MASK] it's</s> 42.\xC3\xA9\xE4\xB8\xAD \xFF", "aaaaaaaaaa aaab  \n"}) {
    const TokensWithOffsets result = tokenizer.encode_with_offsets(text);
    require(tokenizer.encode(text) == result.tokens && result.offsets.size() == result.tokens.size());
    for (const auto& [begin, end] : result.offsets) {
      require(begin >= 0 && begin <= end && end <= static_cast<Index>(text.size()));
    }
    static_cast<void>(tokenizer.decode(result.tokens));  // throws for an id beyond the vocabulary
  }
}

nlohmann::json wordpiece_base() {
  return {{"model",
           {{"type", "WordPiece"},
            {"unk_token", "[UNK]"},
            {"vocab", {{"[UNK]", 0}, {"[CLS]", 1}, {"[SEP]", 2}, {"[MASK]", 3}, {"the", 4}, {"##a", 5}, {"a", 6}}}}},
          {"pre_tokenizer", {{"type", "BertPreTokenizer"}}},
          {"normalizer", {{"type", "BertNormalizer"}}},
          {"added_tokens", {{{"id", 3}, {"content", "[MASK]"}, {"special", true}, {"normalized", false}}}},
          {"post_processor", {{"type", "BertProcessing"}, {"cls", {"[CLS]", 1}}, {"sep", {"[SEP]", 2}}}}};
}

const BytePairVocabulary& pairs() {
  static const BytePairVocabulary vocabulary =
      linformer_test::byte_level_vocabulary({{"a", "a"}, {"aa", "aa"}, {"t", "h"}});
  return vocabulary;
}

nlohmann::json bpe_base() {
  nlohmann::json vocab;
  for (std::size_t id = 0; id < pairs().tokens.size(); ++id) vocab[pairs().tokens[id]] = id;
  return {{"model", {{"type", "BPE"}, {"vocab", vocab}, {"merges", {"a a", "aa aa", "t h"}}}},
          {"pre_tokenizer", {{"type", "ByteLevel"}}},
          {"added_tokens", {{{"id", 4}, {"content", "<mask>"}, {"special", true}, {"lstrip", true}}}},
          {"post_processor", {{"type", "RobertaProcessing"}, {"cls", {"<s>", 0}}, {"sep", {"</s>", 2}}}}};
}

void check_json(const nlohmann::json& json) {
  for (const bool special : {false, true}) {
    refuse_or([&] { check(detail::TokenizerJsonReader({json, "input"}, {.special_tokens_in_text = special}).read()); });
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const nlohmann::json words = wordpiece_base(), bytes = bpe_base();
  const std::string text(reinterpret_cast<const char*>(data), size);
  refuse_or([&] {
    const nlohmann::json json = parse_json(text, "input");
    check_json(json);
    for (nlohmann::json base : {words, bytes}) {
      base.merge_patch(json);
      check_json(base);
    }
  });
  std::istringstream in(text);
  std::vector<std::string> lines{"[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]"};
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  refuse_or([&] { check(WordPieceTokenizer(lines, {}, "input")); });
  refuse_or([&] {
    BytePairVocabulary vocabulary = pairs();
    vocabulary.merges.clear();
    for (std::size_t i = 5; i < lines.size(); ++i) {
      vocabulary.merges.push_back(detail::split_merge(lines[i], "input", "line " + std::to_string(i - 4)));
    }
    check(ByteLevelBpeTokenizer(vocabulary, {}, "input", "input"));
  });
  return 0;
}
