#pragma once

// The component linformer::tokenizers: needs utf8proc and nlohmann-json.

#include <linformer/text/tokenizers/pretrained_tokenizer.hpp>
#include <linformer/text/tokenizers/vocabulary_json.hpp>

#include <algorithm>
#include <map>
#include <optional>
#include <set>

namespace linformer::inline LINFORMER_ABI {

namespace detail {

[[nodiscard]] inline std::string type_of(const JsonValue& part) {
  return part.is_null() ? std::string() : part["type"].text();
}

/// Reads Hugging Face's tokenizer.json. What the file asks for and this library has not is an error, never left out.
class TokenizerJsonReader {
 public:
  TokenizerJsonReader(const JsonValue& root, const PretrainedTokenizerOptions& options)
      : root_(root), model_(root["model"]), options_(options) {}

  [[nodiscard]] PretrainedTokenizer read() {
    // Files written before the field was added do not name the model.
    std::string type = model_["type"].is_null() ? "" : model_["type"].text();
    if (type.empty()) type = model_["merges"].is_null() ? "WordPiece" : "BPE";
    if (type != "WordPiece" && type != "BPE") {
      model_["type"].fail("a model WordPiece or BPE, or sentencepiece.bpe.model beside this file",
                          ErrorCode::unsupported);
    }
    const bool bpe = type == "BPE";
    const std::string cut = bpe ? "ByteLevel" : "BertPreTokenizer";
    if (type_of(root_["pre_tokenizer"]) != cut) refuse(root_["pre_tokenizer"], cut);
    read_vocabulary(bpe);
    read_processor(root_["post_processor"], bpe);
    find_names(bpe);
    return bpe ? read_bpe() : read_wordpiece();
  }

 private:
  /// A part of a kind that is not there.
  [[noreturn]] static void refuse(const JsonValue& part, const std::string& expected) {
    part.fail(expected, ErrorCode::unsupported);
  }

  static void require_off(const JsonValue& field) {
    const nlohmann::json& value = field.json();
    const bool off = value.is_null() || value == false ||
                     (value.is_string() && value.get_ref<const std::string&>().empty()) ||
                     (value.is_number() && value == 0);
    if (!off) refuse(field, "nothing");
  }

  void read_vocabulary(bool bpe) {
    ids_ = read_ids(model_["vocab"]);
    for (const auto& [token, id] : ids_) known_.emplace(token, id);
    if (root_["added_tokens"].is_null()) return;
    std::set<std::string> texts;  // of those so far
    for (const JsonValue& each : root_["added_tokens"].elements()) {
      AddedToken token{.text = each["content"].text(),
                       .id = each["id"].id(),
                       .special = each["special"].boolean(false),
                       .strip_left = each["lstrip"].boolean(false),
                       .strip_right = each["rstrip"].boolean(false),
                       .second_round = each["normalized"].boolean(true)};
      if (token.text.empty()) each["content"].fail("a text");
      if (!token.special || options_.special_tokens_in_text) {
        require_off(each["single_word"]);
        if (!bpe && token.second_round) refuse(each["normalized"], "false: tokens are looked for in the text itself");
      }
      const auto [known, added] = known_.emplace(token.text, token.id);
      if (known->second != token.id) each["id"].fail(std::to_string(known->second) + ", its id in the vocabulary");
      token.outside = added;
      if (added) ids_.emplace_back(token.text, token.id);
      if (!texts.insert(token.text).second) each["content"].fail("every token once");
      added_.push_back(std::move(token));
    }
  }

  /// Which tokens begin and end a text, and how many divide a pair.
  void read_processor(const JsonValue& part, bool bpe) {
    const std::string type = type_of(part);
    if (type.empty()) return;
    if (type == "Sequence") {
      for (const JsonValue& each : part["processors"].elements()) read_processor(each, bpe);
    } else if (type == "BertProcessing" || (type == "RobertaProcessing" && bpe)) {
      names_.bos = named(part["cls"]);
      names_.eos = named(part["sep"]);
      names_.separators = type == "BertProcessing" ? 1 : 2;
      if (type == "RobertaProcessing") read_trim(part);
    } else if (type == "ByteLevel" && bpe) {
      read_trim(part);
    } else if (type == "TemplateProcessing") {
      read_template(part, bpe);
    } else {
      refuse(part["type"], "BertProcessing, RobertaProcessing, TemplateProcessing or ByteLevel");
    }
  }

  void read_trim(const JsonValue& part) {
    bpe_.trim_offsets = part["trim_offsets"].boolean(true);
    const bool prefix = root_["pre_tokenizer"]["add_prefix_space"].boolean(true);
    if (bpe_.trim_offsets && part["add_prefix_space"].boolean(true) != prefix) {
      refuse(part["add_prefix_space"], "what pre_tokenizer has");
    }
  }

  /// A pair [name, id].
  [[nodiscard]] std::string named(const JsonValue& part) const {
    const std::vector<JsonValue> pair = part.elements();
    if (pair.size() != 2) part.fail("a token and its id");
    require_known(part, pair[0].text(), pair[1].id());
    return pair[0].text();
  }

  void require_known(const JsonValue& part, const std::string& token, TokenId id) const {
    const auto known = known_.find(token);
    if (known == known_.end() || known->second != id) part.fail("a token of the vocabulary with its id");
  }

  /// bos A eos, and bos A eos … eos B eos. Types are BERT's, 0 up to the second text and 1 from there, or, of BPE, as
  /// RoBERTa's models have one type alone, 0 throughout.
  void read_template(const JsonValue& part, bool bpe) {
    const auto pieces = [&](const char* name) {
      std::vector<std::string> found;  // names of special tokens, empty for a text
      for (const JsonValue& piece : part[name].elements()) {
        const JsonValue text = piece["Sequence"];
        const auto before = std::count(found.begin(), found.end(), "");
        const bool second = before + (text.is_null() ? 0 : 1) > 1;
        const JsonValue type = (text.is_null() ? piece["SpecialToken"] : text)["type_id"];
        if (!type.is_null() && type.id() != (second ? 1 : 0) && (type.id() != 0 || !bpe)) {
          refuse(type, second ? "1, of the second text" : "0, of the first text");
        }
        if (!text.is_null()) {
          if (text["id"].text() != (before == 0 ? "A" : "B")) refuse(text["id"], "A, then B");
          found.emplace_back();
        } else {
          found.push_back(piece["SpecialToken"]["id"].text());
          const JsonValue special = part["special_tokens"][found.back()];
          const std::vector<JsonValue> ids = special["ids"].elements();
          if (ids.size() != 1) refuse(special["ids"], "one token");
          require_known(special, found.back(), ids.front().id());
        }
      }
      return found;
    };
    const std::vector<std::string> single = pieces("single"), pair = pieces("pair");
    const auto text = std::find(single.begin(), single.end(), "");
    if (text - single.begin() > 1 || single.end() - text > 2 || text == single.end()) {
      refuse(part["single"], "a text with at most one token before it and one after it");
    }
    if (text != single.begin()) names_.bos = single.front();
    if (single.end() - text == 2) names_.eos = single.back();
    std::vector<std::string> expected = single;
    const auto ends = static_cast<std::size_t>(single.end() - text) - 1;
    const auto size = pair.size() - std::min(pair.size(), 1 + ends);  // what stands before the second text
    for (names_.separators = static_cast<Index>(ends); expected.size() < size; ++names_.separators) {
      expected.push_back(names_.eos);
    }
    expected.emplace_back();
    if (ends == 1) expected.push_back(names_.eos);
    if (pair != expected || (ends == 0 && names_.separators > 0))
      refuse(part["pair"], "texts divided by what ends one");
  }

  /// Roles that the file does not state go by the usual names.
  void find_names(bool bpe) {
    const auto first_known = [&](std::initializer_list<const char*> names) {
      const auto found =
          std::find_if(names.begin(), names.end(), [&](const char* name) { return known_.contains(name); });
      return found == names.end() ? std::string() : std::string(*found);
    };
    names_.pad = first_known({"[PAD]", "<pad>"});
    names_.mask = first_known({"[MASK]", "<mask>"});
    const JsonValue unknown = model_["unk_token"];
    names_.unknown = !unknown.is_null() ? unknown.text() : bpe ? first_known({"<unk>"}) : "[UNK]";
  }

  PretrainedTokenizer read_wordpiece() {
    WordPieceConfig config{.special = names_, .special_tokens_in_text = options_.special_tokens_in_text};
    const JsonValue normalizer = root_["normalizer"];
    if (normalizer.is_null()) {
      config.normalization = {.clean_text = false, .handle_chinese_chars = false, .lowercase = false};
    } else if (type_of(normalizer) == "BertNormalizer") {
      config.normalization = {.clean_text = normalizer["clean_text"].boolean(true),
                              .handle_chinese_chars = normalizer["handle_chinese_chars"].boolean(true),
                              .lowercase = normalizer["lowercase"].boolean(true)};
      if (const JsonValue strip = normalizer["strip_accents"]; !strip.is_null()) {
        config.normalization.strip_accents = strip.boolean(false);
      }
    } else {
      refuse(normalizer["type"], "BertNormalizer");
    }
    if (const JsonValue prefix = model_["continuing_subword_prefix"]; !prefix.is_null()) {
      config.continuation = prefix.text();
    }
    if (const JsonValue longest = model_["max_input_chars_per_word"]; !longest.is_null()) {
      config.longest_word = longest.id();
      if (config.longest_word == 0) longest.fail("at least 1");
    }
    return PretrainedTokenizer(
        WordPieceTokenizer(in_order(ids_, root_.file()), std::move(config), root_.file(), std::move(added_)));
  }

  PretrainedTokenizer read_bpe() {
    if (!root_["normalizer"].is_null()) refuse(root_["normalizer"], "none");
    const JsonValue cut = root_["pre_tokenizer"];
    if (!cut["use_regex"].boolean(true)) refuse(cut["use_regex"], "true");
    for (const char* field : {"dropout", "continuing_subword_prefix", "end_of_word_suffix", "byte_fallback"}) {
      require_off(model_[field]);
    }
    bpe_.add_prefix_space = cut["add_prefix_space"].boolean(true);
    bpe_.ignore_merges = model_["ignore_merges"].boolean(false);
    bpe_.special = names_;
    bpe_.special_tokens_in_text = options_.special_tokens_in_text;
    BytePairVocabulary vocabulary{
        .tokens = in_order(ids_, root_.file()), .merges = {}, .place = "model.merges, number ", .first = 0};
    for (const JsonValue& merge : model_["merges"].elements()) {
      if (merge.json().is_string()) {
        vocabulary.merges.push_back(
            split_merge(merge.text(), root_.file(), vocabulary.place + std::to_string(vocabulary.merges.size())));
      } else {
        const std::vector<JsonValue> pair = merge.elements();
        if (pair.size() != 2) merge.fail("two tokens");
        vocabulary.merges.emplace_back(pair[0].text(), pair[1].text());
      }
    }
    return PretrainedTokenizer(
        ByteLevelBpeTokenizer(vocabulary, std::move(bpe_), root_.file(), root_.file(), std::move(added_)));
  }

  JsonValue root_, model_;
  PretrainedTokenizerOptions options_;
  NamedIds ids_;
  std::map<std::string, TokenId, std::less<>> known_;
  std::vector<AddedToken> added_;
  SpecialNames names_;
  ByteLevelBpeConfig bpe_{.trim_offsets = false};
};

}  // namespace detail

/// The tokenizer of Hugging Face's tokenizer.json: WordPiece as BERT has it, or byte-level BPE as GPT-2 and RoBERTa
/// have it. Lengths to truncate or pad to are the caller's, see `EncodeConfig`.
/// @throws Error file_access; malformed_input naming the key; unsupported for another model, normaliser, pre-tokeniser
/// or post-processor, and for a setting that is none of this library's
[[nodiscard]] inline PretrainedTokenizer read_tokenizer_json(const std::filesystem::path& path,
                                                             const PretrainedTokenizerOptions& options = {}) {
  const nlohmann::json json = read_json(path);
  return detail::TokenizerJsonReader({json, path.string()}, options).read();
}

}  // namespace linformer::inline LINFORMER_ABI
