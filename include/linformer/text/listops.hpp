#pragma once

#include <linformer/text/tokenizer.hpp>

#include <algorithm>
#include <array>
#include <optional>

namespace linformer::inline LINFORMER_ABI {

// ListOps (Nangia and Bowman 2018, arXiv 1804.06028): nested operations on lists of digits, whose value is a digit.

/// Ids of the tokens: a digit is its own.
enum ListOpsToken : TokenId { listops_min = 10, listops_max, listops_med, listops_sum, listops_close, listops_pad };

namespace detail {

inline constexpr std::array<std::string_view, 15> listops_words{"0", "1", "2",    "3",    "4",    "5",   "6", "7",
                                                                "8", "9", "[MIN", "[MAX", "[MED", "[SM", "]"};

constexpr bool is_listops_operator(TokenId token) noexcept { return token >= listops_min && token <= listops_sum; }

[[noreturn]] inline void throw_malformed_listops(std::size_t position, std::string expected, std::string actual) {
  throw Error(ErrorCode::malformed_input, "ListOps expression, token " + std::to_string(position), std::move(expected),
              std::move(actual));
}

/// The word of a token that stands for text. @throws Error malformed_input on any other
inline std::string_view listops_word(TokenId token, std::size_t position) {
  if (token < 0 || token >= listops_pad) {
    throw_malformed_listops(position, "a digit, an operator or a close", "id " + std::to_string(token));
  }
  return listops_words[static_cast<std::size_t>(token)];
}

/// An operator whose close has not come: how often each digit is among its arguments, whose order no operator minds.
struct ListOpsFrame {
  TokenId operation = 0;
  std::array<std::uint32_t, 10> count{};

  [[nodiscard]] std::uint64_t arguments() const {
    std::uint64_t sum = 0;
    for (const std::uint32_t each : count) sum += each;
    return sum;
  }

  /// Argument `rank`, from 0, in ascending order.
  [[nodiscard]] int ranked(std::uint64_t rank) const {
    int digit = 0;
    for (std::uint64_t below = count[0]; below <= rank; below += count[static_cast<std::size_t>(digit)]) ++digit;
    return digit;
  }

  /// Value of the operator, which has an argument at least.
  [[nodiscard]] int value() const {
    const std::uint64_t n = arguments();
    switch (operation) {
      case listops_min:
        return ranked(0);
      case listops_max:
        return ranked(n - 1);
      case listops_med:
        return (ranked((n - 1) / 2) + ranked(n / 2)) / 2;
      default: {
        std::uint64_t sum = 0;
        for (std::size_t digit = 0; digit < 10; ++digit) sum += digit * count[digit];
        return static_cast<int>(sum % 10);
      }
    }
  }
};

}  // namespace detail

/// Words of ListOps, divided by white space. Parentheses, with which the original data and the Long Range Arena write
/// the expression as a binary tree, carry nothing and have no token; they must balance.
class ListOpsTokenizer {
 public:
  [[nodiscard]] static constexpr Index vocabulary_size() noexcept { return listops_pad + 1; }
  [[nodiscard]] static constexpr SpecialTokens special_tokens() noexcept { return {.pad = listops_pad}; }

  /// @throws Error malformed_input on another word, or on parentheses that do not balance
  [[nodiscard]] std::vector<TokenId> encode(std::string_view text) const {
    constexpr std::string_view space = " \t\r\n";
    std::vector<TokenId> tokens;
    Index open = 0;
    for (std::size_t at = text.find_first_not_of(space); at != std::string_view::npos;
         at = text.find_first_not_of(space, at)) {
      const std::string_view word = text.substr(at, text.find_first_of(space, at) - at);
      at += word.size();
      if (word == "(" || word == ")") {
        open += word == "(" ? 1 : -1;
        if (open < 0) detail::throw_malformed_listops(tokens.size(), "an open parenthesis before", ")");
        continue;
      }
      const auto found = std::find(detail::listops_words.begin(), detail::listops_words.end(), word);
      if (found == detail::listops_words.end()) {
        detail::throw_malformed_listops(tokens.size(), "a digit, [MIN, [MAX, [MED, [SM or ]", std::string(word));
      }
      tokens.push_back(static_cast<TokenId>(found - detail::listops_words.begin()));
    }
    if (open != 0) detail::throw_malformed_listops(tokens.size(), "parentheses that balance", "the end");
    return tokens;
  }

  /// Words with a space between them; padding is left out. @throws Error malformed_input on an id beyond the vocabulary
  [[nodiscard]] std::string decode(std::span<const TokenId> tokens) const {
    std::string text;
    for (std::size_t i = 0; i < tokens.size(); ++i) {
      if (tokens[i] == listops_pad) continue;
      if (!text.empty()) text += ' ';
      text += detail::listops_word(tokens[i], i);
    }
    return text;
  }
};

static_assert(Tokenizer<ListOpsTokenizer>);

/// Value, 0 to 9, of an expression: MIN, MAX, the sum modulo 10, or the median, truncated where the mean of two falls
/// between digits. Memory grows with the depth; there is no recursion.
/// @throws Error malformed_input, which names the token, unless the tokens are one whole expression
[[nodiscard]] inline int evaluate_listops(std::span<const TokenId> tokens) {
  std::vector<detail::ListOpsFrame> open;
  std::optional<int> result;
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    const std::string_view word = detail::listops_word(tokens[i], i);
    if (result) detail::throw_malformed_listops(i, "the end", std::string(word));
    if (detail::is_listops_operator(tokens[i])) {
      open.push_back({.operation = tokens[i], .count = {}});
      continue;
    }
    int value = tokens[i];
    if (tokens[i] == listops_close) {
      if (open.empty()) detail::throw_malformed_listops(i, "an operator before", "]");
      if (open.back().arguments() == 0) detail::throw_malformed_listops(i, "an argument", "]");
      value = open.back().value();
      open.pop_back();
    }
    if (open.empty()) {
      result = value;
    } else {
      ++open.back().count[static_cast<std::size_t>(value)];
    }
  }
  if (!result) {
    detail::throw_malformed_listops(tokens.size(), tokens.empty() ? "an expression" : "an argument or ]", "the end");
  }
  return *result;
}

/// Value of an expression as text, with parentheses or without.
[[nodiscard]] inline int evaluate_listops(std::string_view text) {
  return evaluate_listops(ListOpsTokenizer().encode(text));
}

/// An expression as the original data and the Long Range Arena write it, a binary tree in parentheses:
/// `( ( ( [MAX 2 ) 9 ) ] )`. @throws Error malformed_input unless the tokens are one whole expression
[[nodiscard]] inline std::string listops_tree_text(std::span<const TokenId> tokens) {
  static_cast<void>(evaluate_listops(tokens));
  std::vector<Index> pairs(tokens.size());  // of an operator: one an argument, and one for its close
  std::vector<std::size_t> open;
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    if (!open.empty() && tokens[i] != listops_close) ++pairs[open.back()];
    if (detail::is_listops_operator(tokens[i])) open.push_back(i);
    if (tokens[i] == listops_close) ++pairs[open.back()], open.pop_back();
  }
  std::string text;
  Index depth = 0;
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    if (i > 0) text += ' ';
    for (Index pair = 0; pair < pairs[i]; ++pair) text += "( ";
    text += detail::listops_word(tokens[i], i);
    if (detail::is_listops_operator(tokens[i])) {
      ++depth;
      continue;
    }
    if (tokens[i] == listops_close) text += " )", --depth;
    if (depth > 0) text += " )";  // the argument that ends here
  }
  return text;
}

}  // namespace linformer::inline LINFORMER_ABI
