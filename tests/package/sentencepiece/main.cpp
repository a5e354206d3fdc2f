#include <linformer/text/sentencepiece_tokenizer.hpp>

#include <string_view>

int main() {
  try {
    const linformer::SentencePieceTokenizer tokenizer(std::string_view("no model"), "bytes");
    return 1;
  } catch (const linformer::Error& error) {
    return error.code() == linformer::ErrorCode::malformed_input ? 0 : 1;
  }
}
