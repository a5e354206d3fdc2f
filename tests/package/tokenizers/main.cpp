#include <linformer/tokenizers.hpp>

int main() {
  const linformer::WordPieceTokenizer tokenizer({"[CLS]", "[PAD]", "[SEP]", "[UNK]", "[MASK]", "ecole", "##s"});
  return tokenizer.encode("\u00C9coles") == std::vector<linformer::TokenId>{5, 6} ? 0 : 1;
}
