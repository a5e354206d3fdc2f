/* The library's side of compare_tokenizers.py: reads texts from standard input, each its length in bytes on a line and
   then the bytes, and writes for each a line of tokens, `id begin end` (XLM-R: `id`) separated by spaces.
     compare_tokenizers FOLDER [special]  with the tokenizer of the folder; `special`: special tokens in text are such
     compare_tokenizers FOLDER speed      reads lines, and tells how fast they are encoded
     compare_tokenizers FOLDER decode     reads lines of ids, and writes their texts, each with a zero byte behind it
     compare_tokenizers facts             prints what is done with each code point
     compare_tokenizers version
*/
#include <linformer/text/tokenizers/load_tokenizer.hpp>

#if LINFORMER_TEST_SENTENCEPIECE
#include <linformer/text/sentencepiece_xlm_roberta.hpp>
#endif

#include <cstdio>
#include <ctime>
#include <iostream>
#include <sstream>
#include <string>
#include <vector>

namespace {

using namespace linformer;

/// Of what XLM-R's tokenizer lacks.
template <class T>
concept GivesOffsets = Tokenizer<T> && requires(const T& tokenizer) {
  tokenizer.encode_with_offsets("");
};

std::string line_of(const GivesOffsets auto& tokenizer, const std::string& text) {
  const TokensWithOffsets result = tokenizer.encode_with_offsets(text);
  if (tokenizer.encode(text) != result.tokens) throw std::logic_error("encode and encode_with_offsets differ");
  std::string line;
  for (std::size_t i = 0; i < result.tokens.size(); ++i) {
    const auto [begin, end] = result.offsets[i];
    line += std::to_string(result.tokens[i]) + ' ' + std::to_string(begin) + ' ' + std::to_string(end) + ' ';
  }
  return line;
}

std::string line_of(const Tokenizer auto& tokenizer, const std::string& text) {
  std::string line;
  for (const TokenId token : tokenizer.encode(text)) line += std::to_string(token) + ' ';
  return line;
}

int compare(const Tokenizer auto& tokenizer) {
  std::string length, text;
  while (std::getline(std::cin, length)) {
    text.resize(std::stoul(length));
    std::cin.read(text.data(), static_cast<std::streamsize>(text.size()));
    std::printf("%s\n", line_of(tokenizer, text).c_str());
  }
  return 0;
}

template <Tokenizer T>
int speed(const T& tokenizer) {
  std::vector<std::string> lines;
  std::size_t bytes = 0, tokens = 0;
  for (std::string line; std::getline(std::cin, line); bytes += lines.back().size()) lines.push_back(line);
  const auto timed = [&](const char* what, const auto& tokens_of) {
    const std::clock_t begin = std::clock();  // of the processor: other programs may run
    for (const std::string& line : lines) tokens += tokens_of(line).size();
    const double time = static_cast<double>(std::clock() - begin) / CLOCKS_PER_SEC;
    std::printf("%s %.2f MB/s\n", what, static_cast<double>(bytes) / 1e6 / time);
  };
  timed("tokens", [&](const std::string& line) { return tokenizer.encode(line); });
  if constexpr (GivesOffsets<T>) {
    timed("with_offsets", [&](const std::string& line) { return tokenizer.encode_with_offsets(line).tokens; });
  }
  return tokens > 0 ? 0 : 1;
}

int decode(const Tokenizer auto& tokenizer) {
  for (std::string line; std::getline(std::cin, line);) {
    std::istringstream in(line);
    std::vector<TokenId> tokens;
    for (TokenId token = 0; in >> token;) tokens.push_back(token);
    const std::string text = tokenizer.decode(tokens) + '\0';
    std::fwrite(text.data(), 1, text.size(), stdout);
  }
  return 0;
}

int run(const Tokenizer auto& tokenizer, const std::string& mode) {
  return mode == "speed" ? speed(tokenizer) : mode == "decode" ? decode(tokenizer) : compare(tokenizer);
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
#if LINFORMER_TEST_SENTENCEPIECE
  const auto xlm_roberta = std::filesystem::path(arguments[0]) / "sentencepiece.bpe.model";
  if (exists(xlm_roberta)) return run(XlmRobertaTokenizer(xlm_roberta), mode);
#endif
  return run(load_tokenizer(arguments[0], {.special_tokens_in_text = mode == "special"}), mode);
} catch (const std::exception& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 1;
}
