// The library's side of compare_tokenizers.py: reads texts from standard input, each its length in bytes on a line and
// then the bytes, and writes for each a line of tokens, `id begin end` separated by spaces.
//   compare_tokenizers FOLDER [special]     with the tokenizer of the folder; `special`: special tokens in text are
//   such compare_tokenizers FOLDER speed         reads lines, and tells how fast they are encoded compare_tokenizers
//   FOLDER decode        reads lines of ids, and writes their texts, each with a zero byte behind it compare_tokenizers
//   facts                prints what is done with each code point compare_tokenizers version
#include <linformer/text/tokenizers/load_tokenizer.hpp>

#include <cstdio>
#include <ctime>
#include <iostream>
#include <sstream>
#include <string>
#include <vector>

namespace {

using namespace linformer;

int compare(const PretrainedTokenizer& tokenizer) {
  std::string line, text, out;
  while (std::getline(std::cin, line)) {
    text.resize(std::stoul(line));
    std::cin.read(text.data(), static_cast<std::streamsize>(text.size()));
    const TokensWithOffsets result = tokenizer.encode_with_offsets(text);
    if (tokenizer.encode(text) != result.tokens) throw std::logic_error("encode and encode_with_offsets differ");
    out.clear();
    for (std::size_t i = 0; i < result.tokens.size(); ++i) {
      const auto [begin, end] = result.offsets[i];
      out += std::to_string(result.tokens[i]) + ' ' + std::to_string(begin) + ' ' + std::to_string(end) + ' ';
    }
    std::printf("%s\n", out.c_str());
  }
  return 0;
}

int speed(const PretrainedTokenizer& tokenizer) {
  std::vector<std::string> lines;
  std::size_t bytes = 0, tokens = 0;
  for (std::string line; std::getline(std::cin, line); bytes += lines.back().size()) lines.push_back(line);
  for (const bool offsets : {false, true}) {
    const std::clock_t begin = std::clock();  // of the processor: other programs may run
    for (const std::string& line : lines) {
      tokens += offsets ? tokenizer.encode_with_offsets(line).tokens.size() : tokenizer.encode(line).size();
    }
    const double time = static_cast<double>(std::clock() - begin) / CLOCKS_PER_SEC;
    std::printf("%s %.2f MB/s\n", offsets ? "with_offsets" : "tokens", static_cast<double>(bytes) / 1e6 / time);
  }
  return tokens > 0 ? 0 : 1;
}

int decode(const PretrainedTokenizer& tokenizer) {
  for (std::string line; std::getline(std::cin, line);) {
    std::istringstream in(line);
    std::vector<TokenId> tokens;
    for (TokenId token = 0; in >> token;) tokens.push_back(token);
    const std::string text = tokenizer.decode(tokens) + '\0';
    std::fwrite(text.data(), 1, text.size(), stdout);
  }
  return 0;
}

template <class Points>
std::string shown(const Points& points) {
  std::string text;
  for (const char32_t c : points) {
    char hexadecimal[9];
    std::snprintf(hexadecimal, sizeof hexadecimal, "%X", static_cast<unsigned>(c));
    text.append(text.empty() ? "" : ",").append(hexadecimal);
  }
  return text;
}

int facts() {
  for (char32_t c = 0; c < 0x110000; ++c) {
    if (c >= 0xD800 && c < 0xE000) continue;
    const bool space = detail::is_white_space(c);
    std::vector<char32_t> stripped;
    for (const char32_t part : detail::decomposed(c)) {
      if (!detail::is_nonspacing_mark(part)) stripped.push_back(part);
    }
    std::printf("%X %s %d %s %s %d %c %c\n", static_cast<unsigned>(c),
                detail::is_bert_control(c) ? "drop"
                : space && c != ' '        ? "space"
                                           : "same",
                detail::is_bert_ideograph(c) ? 1 : 0, shown(stripped).c_str(), shown(detail::lower_case(c)).c_str(),
                *detail::decomposed(c).begin() == c ? detail::combining_class(c) : 0,
                space                            ? 's'
                : detail::is_bert_punctuation(c) ? 'p'
                                                 : 'o',
                "LNSO"[static_cast<int>(detail::code_point_class(c))]);
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) try {
  std::ios::sync_with_stdio(false);
  const std::vector<std::string> arguments(argv + 1, argv + argc);
  if (arguments.empty()) return 2;
  if (arguments[0] == "facts") return facts();
  if (arguments[0] == "version")
    return std::printf("utf8proc %s, Unicode %s\n", utf8proc_version(), utf8proc_unicode_version()) < 0;
  const std::string mode = arguments.size() > 1 ? arguments[1] : "";
  const PretrainedTokenizer tokenizer = load_tokenizer(arguments[0], {.special_tokens_in_text = mode == "special"});
  return mode == "speed" ? speed(tokenizer) : mode == "decode" ? decode(tokenizer) : compare(tokenizer);
} catch (const std::exception& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 1;
}
