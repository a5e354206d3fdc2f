#pragma once

#include <linformer/text/tokenizer.hpp>
#include <linformer/text/tokenizers/unicode.hpp>

#include <algorithm>
#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace linformer::inline LINFORMER_ABI {

/// What is done to a text before it is cut into words; fields as those of Hugging Face's BertNormalizer.
struct BertNormalization {
  bool clean_text = true;               ///< controls and U+FFFD are taken out, white space becomes a space
  bool handle_chinese_chars = true;     ///< spaces are put around ideographs
  std::optional<bool> strip_accents{};  ///< letters are decomposed and lose their marks; not set: as `lowercase`
  bool lowercase = true;
};

namespace detail {

/// A normalised text, and where each of its bytes comes from.
struct NormalizedText {
  std::string bytes;
  std::vector<ByteRange> origins;  ///< as many as bytes, or none where nobody asks
};

/// Normalises texts one after the other; the memory of one serves the next.
class BertNormalizer {
 public:
  BertNormalizer(const BertNormalization& config, bool with_origins)
      : config_(config), strip_(config.strip_accents.value_or(config.lowercase)), with_origins_(with_origins) {
    for (std::size_t c = 0; c < ascii_.size(); ++c) {
      const auto point = static_cast<char32_t>(c);
      const bool removed = config_.clean_text && is_bert_control(point);
      const bool space = config_.clean_text && is_white_space(point);
      ascii_[c] = removed             ? dropped
                  : space             ? ' '
                  : config_.lowercase ? static_cast<char>(*lower_case(point).begin())
                                      : static_cast<char>(c);
    }
  }

  /// The text from byte `begin` to byte `end`. What is not UTF-8 counts as U+FFFD for every maximal subpart.
  const NormalizedText& operator()(std::string_view text, std::size_t begin, std::size_t end) {
    out_.bytes.clear();
    out_.origins.clear();
    text = text.substr(0, end);
    for (std::size_t at = begin; at < end;) {
      const auto byte = static_cast<unsigned char>(text[at]);
      if (byte < ascii_.size()) {
        if (const char c = ascii_[byte]; c != dropped || !config_.clean_text) {
          if (!marks_.empty()) flush();
          consumed_ = range(at, at + 1);
          out_.bytes += c;
          if (with_origins_) out_.origins.push_back(consumed_);
        }
        ++at;
        continue;
      }
      const Utf8Step step = utf8_step(text, at);
      take(step.code_point, range(at, at + step.length));
      at += step.length;
    }
    flush();
    return out_;
  }

 private:
  static constexpr char dropped = '\0';

  struct Mark {
    char32_t c = 0;
    int order = 0;         // canonical combining class
    bool follows = false;  // whether its letter's decomposition has something before it
    ByteRange origin;
  };

  static ByteRange range(std::size_t begin, std::size_t end) {
    return {static_cast<Index>(begin), static_cast<Index>(end)};
  }

  void take(char32_t c, ByteRange origin) {
    if (config_.clean_text) {
      if (is_bert_control(c)) return;
      if (is_white_space(c)) c = ' ';
    }
    const bool apart = config_.handle_chinese_chars && is_bert_ideograph(c);
    if (apart) flush(), append(' ', origin);
    if (strip_) {
      bool follows = false;
      for (const char32_t part : decomposed(c)) {
        if (const int order = combining_class(part); order != 0) {
          marks_.push_back({part, order, follows, origin});
        } else {
          flush();
          consumed_ = origin;
          emit(part, origin);
        }
        follows = true;
      }
    } else {
      emit(c, origin);
    }
    if (apart) flush(), append(' ', origin);
  }

  /// Marks go in the order of their classes. Their places in the text, though, stay in the order of the text, as
  /// Hugging Face counts them: only a mark that begins a decomposition takes a place of its own.
  void flush() {
    if (marks_.empty()) return;
    places_.clear();
    for (const Mark& mark : marks_) {
      if (!mark.follows) places_.push_back(mark.origin);
    }
    std::stable_sort(marks_.begin(), marks_.end(), [](const Mark& a, const Mark& b) { return a.order < b.order; });
    auto place = places_.begin();
    for (const Mark& mark : marks_) {
      if (!mark.follows) consumed_ = *place++;
      emit(mark.c, consumed_);
    }
    marks_.clear();
  }

  void emit(char32_t c, ByteRange origin) {
    if (strip_ && is_nonspacing_mark(c)) return;
    if (!config_.lowercase) return append(c, origin);
    for (const char32_t part : lower_case(c)) append(part, origin);
  }

  void append(char32_t c, ByteRange origin) {
    append_utf8(c, out_.bytes);
    if (with_origins_) out_.origins.resize(out_.bytes.size(), origin);
  }

  BertNormalization config_;
  bool strip_, with_origins_;
  std::array<char, 128> ascii_{};
  std::vector<Mark> marks_;
  std::vector<ByteRange> places_;
  ByteRange consumed_;  // place of the last letter or mark that had one of its own
  NormalizedText out_;
};

/// Calls take(begin, end) for every word: between white space, and punctuation apart.
template <class Take>
void for_each_bert_word(std::string_view text, const Take& take) {
  std::size_t word = 0;
  for (std::size_t at = 0; at < text.size();) {
    const auto byte = static_cast<unsigned char>(text[at]);
    const bool ascii = byte < 0x80;
    const Utf8Step step = ascii ? Utf8Step{.length = 1, .code_point = byte, .valid = true} : utf8_step(text, at);
    const bool space = is_white_space(step.code_point), punctuation = !space && is_bert_punctuation(step.code_point);
    const std::size_t next = at + step.length;
    if (space || punctuation) {
      if (word < at) take(word, at);
      if (punctuation) take(at, next);
      word = next;
    }
    at = next;
  }
  if (word < text.size()) take(word, text.size());
}

}  // namespace detail

}  // namespace linformer::inline LINFORMER_ABI
