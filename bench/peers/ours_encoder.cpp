// What encoders.py calls: this library's frozen encoder behind a C interface. Compiled without any instruction-set
// flag.

#include <linformer/model/encoder.hpp>

#include <cstring>
#include <memory>
#include <string>

namespace {

using linformer::Index;

struct Model {
  linformer::FrozenEncoder<float> encoder;
  linformer::ThreadPool pool;
  linformer::Workspace workspace;
  linformer::TokenBatch tokens;
  linformer::RowSelection read;
  linformer::Matrix<float> hidden;
};

}  // namespace

extern "C" {

/// Copies values of a parameter into `values`, or nothing if it has no name there.
using ReadParameter = void(const char* name, float* values, long count);

/// @param k projected length; 0 for softmax attention. @param first whether the first token alone is read.
/// @param read called for each parameter. Null on failure.
void* linformer_encoder_create(long n, long layers, long width, long heads, long feed_forward, long vocabulary, long k,
                               int bf16, int first, int threads, ReadParameter* read) try {
  const linformer::EncoderConfig config{
      .vocabulary_size = vocabulary,
      .sequence_length = n,
      .layers = layers,
      .model_width = width,
      .heads = heads,
      .feed_forward_width = feed_forward,
      .mechanism = k == 0 ? linformer::Mechanism::softmax_tiled : linformer::Mechanism::linformer,
      .projected_length = k,
      .sharing = linformer::Sharing::key_value};
  linformer::Encoder<float> encoder(config, 1);
  encoder.for_each_parameter([&](const std::string& name, linformer::Shape, std::span<float> values) {
    read(name.c_str(), values.data(), static_cast<long>(values.size()));
  });
  const auto layout = linformer::BatchLayout::single(n);
  auto model = std::unique_ptr<Model>(
      new Model{encoder.frozen(bf16 != 0 ? linformer::Precision::bf16 : linformer::Precision::full),
                linformer::ThreadPool(threads),
                {},
                {layout, std::vector<std::int32_t>(static_cast<std::size_t>(n))},
                linformer::RowSelection::first_tokens(layout),
                linformer::Matrix<float>(first != 0 ? 1 : n, width)});
  if (first == 0) model->read = {};
  return model.release();
} catch (...) {
  return nullptr;
}

/// The model's own ids, n, and hidden states, n × width or 1 × width, so that nothing is copied in a timed call.
std::int32_t* linformer_encoder_ids(void* model) { return static_cast<Model*>(model)->tokens.ids.data(); }
float* linformer_encoder_hidden(void* model) { return static_cast<Model*>(model)->hidden.data(); }

/// 0 on success.
int linformer_encoder_forward(void* model) try {
  auto& self = *static_cast<Model*>(model);
  const linformer::Execution execution{self.pool, self.workspace, linformer::default_isa()};
  self.encoder.forward(self.tokens, self.hidden, {.read = self.read.size() != 0 ? &self.read : nullptr}, nullptr,
                       execution);
  return 0;
} catch (...) {
  return 1;
}

void linformer_encoder_destroy(void* model) { delete static_cast<Model*>(model); }

/// The path that calls take.
const char* linformer_encoder_isa() { return linformer::name_of(linformer::default_isa()).data(); }
}
