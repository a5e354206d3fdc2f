// What a project that uses the installed package looks like: one attention layer over one sequence.
#include <linformer/linformer.hpp>

#include <iostream>

int main() {
  const linformer::AttentionConfig config{.sequence_length = 256,
                                          .model_width = 64,
                                          .heads = 4,
                                          .projected_length = 32,
                                          .sharing = linformer::Sharing::headwise};
  const linformer::LinformerAttention<float> attention(config, /*seed=*/42);

  const linformer::Matrix<float> x = linformer::Matrix<float>::Random(200, 64);  // a row is a token
  const linformer::Matrix<float> y = attention(x);

  std::cout << y.rows() << " x " << y.cols() << '\n';
  return y.allFinite() ? 0 : 1;
}
