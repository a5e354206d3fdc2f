#pragma once

#include <linformer/text/tokenizers/unicode.hpp>
#include <linformer/text/tokenizers/vocabulary.hpp>

#include <algorithm>
#include <array>
#include <string>
#include <string_view>
#include <vector>

namespace linformer::inline LINFORMER_ABI {

/// A token that is looked for in the text itself, before anything else is done to it.
struct AddedToken {
  std::string text;
  TokenId id = no_token;
  bool special = true;        ///< decodes to nothing, and is looked for only where special tokens in text are asked for
  bool strip_left = false;    ///< takes the white space before it
  bool strip_right = false;   ///< takes the white space after it
  bool second_round = false;  ///< looked for in what tokens of the first round leave over
  bool outside = false;       ///< no token of the vocabulary besides: text is not spelled with it
};

namespace detail {

/// Cuts a text at added tokens, the leftmost and of those the longest first.
class AddedTokens {
 public:
  AddedTokens() = default;

  /// @param with_special whether special tokens are looked for too
  AddedTokens(const std::vector<AddedToken>& tokens, bool with_special) {
    for (const AddedToken& token : tokens) {
      if (token.text.empty() || (token.special && !with_special)) continue;
      Round& round = rounds_[token.second_round ? 1 : 0];
      round.tokens.push_back(token);
      round.begins[static_cast<unsigned char>(token.text.front())] = true;
    }
    for (Round& round : rounds_) {
      std::stable_sort(round.tokens.begin(), round.tokens.end(),
                       [](const auto& a, const auto& b) { return a.text.size() > b.text.size(); });
    }
  }

  /// Calls take(begin, end, token) for parts that cover the text, `token` null for one between added tokens.
  template <class Take>
  void for_each_part(std::string_view text, const Take& take) const {
    cut(rounds_[0], text, 0, text.size(), [&](std::size_t begin, std::size_t end, const AddedToken* token) {
      if (token != nullptr) return take(begin, end, token);
      cut(rounds_[1], text, begin, end, take);
    });
  }

 private:
  struct Round {
    std::vector<AddedToken> tokens;  // longest first
    std::array<bool, 256> begins{};  // bytes that a token begins with
  };

  template <class Take>
  static void cut(const Round& round, std::string_view text, std::size_t begin, std::size_t end, const Take& take) {
    std::size_t done = begin;
    if (!round.tokens.empty()) {
      for (std::size_t at = begin; at < end;) {
        const AddedToken* const token =
            round.begins[static_cast<unsigned char>(text[at])] ? found_at(round, text.substr(at, end - at)) : nullptr;
        if (token == nullptr) {
          ++at;
          continue;
        }
        std::size_t first = at, last = at + token->text.size();
        at = last;
        if (token->strip_left) first = std::max(done, skip_back(text, begin, first));
        if (token->strip_right) last = skip_forward(text, last, end);
        first = std::max(first, done);
        if (done < first) take(done, first, nullptr);
        take(first, last, token);
        done = last;
        at = std::max(at, done);
      }
    }
    if (done < end) take(done, end, nullptr);
  }

  static const AddedToken* found_at(const Round& round, std::string_view text) {
    const auto found = std::find_if(round.tokens.begin(), round.tokens.end(),
                                    [&](const AddedToken& token) { return text.starts_with(token.text); });
    return found == round.tokens.end() ? nullptr : &*found;
  }

  static std::size_t skip_forward(std::string_view text, std::size_t at, std::size_t end) {
    while (at < end) {
      const Utf8Step step = utf8_step(text, at);
      if (!is_white_space(step.code_point)) break;
      at += step.length;
    }
    return at;
  }

  static std::size_t skip_back(std::string_view text, std::size_t begin, std::size_t at) {
    while (at > begin) {
      std::size_t before = at - 1;
      while (before > begin && is_utf8_trail(text[before])) --before;
      const Utf8Step step = utf8_step(text, before);
      if (before + step.length != at || !is_white_space(step.code_point)) break;
      at = before;
    }
    return at;
  }

  std::array<Round, 2> rounds_;
};

/// @throws Error malformed_input naming `file` if an added token is not in the vocabulary, with its id
inline void require_added(const std::vector<AddedToken>& added, const std::vector<std::string>& vocabulary,
                          const std::string& file) {
  for (const AddedToken& token : added) {
    const bool there = token.id >= 0 && static_cast<std::size_t>(token.id) < vocabulary.size() &&
                       vocabulary[static_cast<std::size_t>(token.id)] == token.text;
    if (there) continue;
    throw Error(ErrorCode::malformed_input, file, "added tokens of the vocabulary with their ids",
                "'" + token.text + "' as " + std::to_string(token.id));
  }
}

/// Special tokens under their names.
[[nodiscard]] inline std::vector<AddedToken> added_tokens(const SpecialNames& names, const SpecialTokens& special) {
  std::vector<AddedToken> tokens;
  const auto add = [&](const std::string& name, TokenId id) {
    if (!name.empty()) tokens.push_back({.text = name, .id = id});
  };
  add(names.bos, special.bos);
  add(names.pad, special.pad);
  add(names.eos, special.eos);
  add(names.unknown, special.unknown);
  add(names.mask, special.mask);
  return tokens;
}

}  // namespace detail

}  // namespace linformer::inline LINFORMER_ABI
