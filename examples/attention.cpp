// Linformer attention in twenty lines: self-attention of one sequence, and of a padded batch with lengths.
#include <linformer/linformer.hpp>

#include <iostream>

int main() {
  using linformer::Matrix;
  const linformer::LinformerAttention<float> attention(
      {.sequence_length = 4096, .model_width = 512, .heads = 8, .projected_length = 256}, /*seed=*/42);

  const Matrix<float> x = Matrix<float>::Random(3000, 512);  // 3,000 tokens of width 512
  const Matrix<float> y = attention(x);
  std::cout << "one sequence: " << y.rows() << " x " << y.cols() << '\n';

  const Matrix<float> padded = Matrix<float>::Random(2 * 1000, 512);  // two sequences padded to 1,000 tokens,
  const linformer::Index lengths[] = {1000, 200};                     // 1,000 and 200 of which are present
  const linformer::Batch<float> batch = attention(linformer::to_ragged(padded, lengths));
  std::cout << "ragged batch: " << batch.rows.rows() << " rows computed instead of " << padded.rows() << '\n';
}
