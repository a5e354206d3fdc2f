#include <linformer/linformer.hpp>

linformer::Matrix<float> second(const linformer::LinformerAttention<float>& attention,
                                const linformer::Matrix<float>& x);

int main() {
  const linformer::AttentionConfig config{
      .sequence_length = 16, .model_width = 8, .heads = 2, .projected_length = 4, .sharing = linformer::Sharing::none};
  const linformer::LinformerAttention<float> attention(config, /*seed=*/1);
  const linformer::Matrix<float> x = linformer::Matrix<float>::Constant(16, 8, 0.5F);
  return attention(x) == second(attention, x) ? 0 : 1;
}
