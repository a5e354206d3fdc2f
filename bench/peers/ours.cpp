// What peers.py calls: this library's layer behind a C interface. Compiled without any instruction-set flag.

#include <linformer/linformer.hpp>

#include <cstring>
#include <memory>

namespace {

using linformer::Index;

struct Layer {
  linformer::FrozenAttention<float> attention;
  linformer::ThreadPool pool;
  linformer::Workspace workspace;
  linformer::Batch<float> x, y;
};

}  // namespace

extern "C" {

/// Weights row-major as PyTorch's, biases behind each other: query, key, value, output; e is k × n. mechanism as the
/// enumeration. Null on failure.
void* linformer_peer_create(long n, long width, long heads, long k, int mechanism, int bf16, int threads, long batch,
                            const float* weights, const float* biases, const float* e) try {
  const linformer::AttentionConfig config{.sequence_length = n,
                                          .model_width = width,
                                          .heads = heads,
                                          .projected_length = k,
                                          .sharing = linformer::Sharing::key_value,
                                          .mechanism = static_cast<linformer::Mechanism>(mechanism)};
  linformer::LinformerAttention<float> attention(config, 1);
  attention.for_each_parameter([&](const std::string& name, linformer::Shape shape, std::span<float> values) {
    if (name.starts_with("projections")) {
      std::memcpy(values.data(), e, values.size_bytes());
      return;
    }
    const float*& from = shape.size() == 2 ? weights : biases;
    std::memcpy(values.data(), from, values.size_bytes());
    from += values.size();
  });
  const auto precision = bf16 != 0 ? linformer::Precision::bf16 : linformer::Precision::full;
  const std::vector<Index> lengths(static_cast<std::size_t>(batch), n);
  const auto layout = linformer::BatchLayout::from_lengths(lengths);
  auto layer = std::unique_ptr<Layer>(new Layer{attention.frozen(precision),
                                                linformer::ThreadPool(threads),
                                                {},
                                                {layout, linformer::Matrix<float>(batch * n, width)},
                                                {layout, linformer::Matrix<float>(batch * n, width)}});
  return layer.release();
} catch (...) {
  return nullptr;
}

/// The layer's own input and output, batch·n × width, so that nothing is copied in a timed call.
float* linformer_peer_input(void* layer) { return static_cast<Layer*>(layer)->x.rows.data(); }
float* linformer_peer_output(void* layer) { return static_cast<Layer*>(layer)->y.rows.data(); }

/// 0 on success.
int linformer_peer_forward(void* layer) try {
  auto& self = *static_cast<Layer*>(layer);
  self.attention.forward(self.x, self.y, {.workspace = &self.workspace, .pool = &self.pool});
  return 0;
} catch (...) {
  return 1;
}

void linformer_peer_destroy(void* layer) { delete static_cast<Layer*>(layer); }

/// The path that calls take.
const char* linformer_peer_isa() { return linformer::name_of(linformer::default_isa()).data(); }
}
