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

/// @param n tokens of each of `batch` sequences. @param token_types 0 for none. @param k projected length; 0 for
/// softmax attention. @param first whether each sequence's first token alone is read. @param read called for each
/// parameter. Null on failure.
void* linformer_encoder_create(long n, long batch, long layers, long width, long heads, long feed_forward,
                               long vocabulary, long token_types, long k, double epsilon, int bf16, int first,
                               int threads, ReadParameter* read) try {
  const linformer::EncoderConfig config{
      .vocabulary_size = vocabulary,
      .sequence_length = n,
      .layers = layers,
      .model_width = width,
      .heads = heads,
      .feed_forward_width = feed_forward,
      .mechanism = k == 0 ? linformer::Mechanism::softmax_tiled : linformer::Mechanism::linformer,
      .projected_length = k,
      .sharing = linformer::Sharing::key_value,
      .token_types = token_types,
      .layer_norm_epsilon = epsilon};
  linformer::Encoder<float> encoder(config, 1);
  encoder.for_each_parameter([&](const std::string& name, linformer::Shape, std::span<float> values) {
    read(name.c_str(), values.data(), static_cast<long>(values.size()));
  });
  const auto layout =
      linformer::BatchLayout::from_lengths(std::vector<linformer::Index>(static_cast<std::size_t>(batch), n));
  auto model = std::unique_ptr<Model>(
      new Model{encoder.frozen(bf16 != 0 ? linformer::Precision::bf16 : linformer::Precision::full),
                linformer::ThreadPool(threads),
                {},
                {layout, std::vector<std::int32_t>(static_cast<std::size_t>(layout.rows()))},
                linformer::RowSelection::first_tokens(layout),
                linformer::Matrix<float>(first != 0 ? batch : layout.rows(), width)});
  if (first == 0) model->read = {};
  return model.release();
} catch (...) {
  return nullptr;
}

/// The model's own ids, batch × n, and hidden states, (batch · n) × width or batch × width, so that nothing is copied
/// in a timed call.
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
