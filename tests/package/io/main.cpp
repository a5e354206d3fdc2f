// Saves the parameters of a layer, and loads them into another.
#include <linformer/io.hpp>
#include <linformer/linformer.hpp>

#include <cstdio>
#include <iostream>

int main() {
  const linformer::AttentionConfig config{.sequence_length = 32, .model_width = 16, .heads = 2, .projected_length = 8};
  const linformer::LinformerAttention<float> saved(config, /*seed=*/1);
  linformer::LinformerAttention<float> loaded(config, /*seed=*/2);
  linformer::save_parameters("layer.safetensors", saved, {{"seed", "1"}});
  linformer::load_parameters(linformer::SafetensorsFile::open("layer.safetensors"), loaded);
  std::remove("layer.safetensors");

  const linformer::Matrix<float> x = linformer::Matrix<float>::Random(20, 16);
  const bool equal = saved(x) == loaded(x);
  std::cout << (equal ? "equal\n" : "different\n");
  return equal ? 0 : 1;
}
