// Compiled for a newer instruction set than the two programs.
#include <linformer/linformer.hpp>

float sum_of_output(const linformer::LinformerAttention<float>* attention);
float library_number(std::uint64_t seed);

float sum_of_output(const linformer::LinformerAttention<float>* attention) {
  return (*attention)(linformer::Matrix<float>::Constant(16, 8, 0.5F)).sum();
}

float library_number(std::uint64_t seed) {
  const linformer::AttentionConfig config{.sequence_length = 16, .model_width = 8, .heads = 2, .projected_length = 4};
  const linformer::LinformerAttention<float> attention(config, seed);
  linformer::Workspace workspace;
  float* scratch = workspace.matrix<float>(1, 1).data();
  *scratch = 0.0F * sum_of_output(&attention) + static_cast<float>(linformer::RandomStream(seed).words(1)[0]);
  return *scratch;
}
