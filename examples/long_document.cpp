// Reads any file as a sequence of bytes and sends it through one attention layer: Linformer in its two-pass form, which
// holds a chunk of the document at a time, and tiled softmax attention, at growing lengths, until a time budget ends.
#include <linformer/core/mapped_file.hpp>
#include <linformer/linformer.hpp>

#include "support/progress.hpp"

#include <sys/resource.h>
#include <CLI/CLI.hpp>

#include <chrono>
#include <cstdio>
#include <string>
#include <vector>

namespace {

using linformer::Index;
using linformer::Matrix;

struct Options {
  std::vector<std::string> files;
  Index width = 128, heads = 4, projected_length = 128, chunk = 8192, threads = 1;
  double budget = 20;
};

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

/// Most memory that this process has held so far, in MiB.
double peak_memory() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_maxrss) / 1024;
}

/// One vector for each byte value.
Matrix<float> byte_embedding(Index width) {
  Matrix<float> table(256, width);
  linformer::fill_normal(std::span(table.data(), static_cast<std::size_t>(table.size())),
                         linformer::RandomStream(7).derive("embedding"), 1.0F);
  return table;
}

void embed(const Matrix<float>& table, std::span<const std::byte> bytes, Matrix<float>& rows) {
  rows.resize(static_cast<Index>(bytes.size()), table.cols());
  for (std::size_t i = 0; i < bytes.size(); ++i)
    rows.row(static_cast<Index>(i)) = table.row(std::to_integer<Index>(bytes[i]));
}

linformer::AttentionConfig configuration(const Options& options, Index length, linformer::Mechanism mechanism) {
  return {.sequence_length = length,
          .model_width = options.width,
          .heads = options.heads,
          .projected_length = std::min(options.projected_length, length),
          .sharing = linformer::Sharing::key_value,
          .projection = {.kind = linformer::ProjectionKind::gaussian, .scale = linformer::FixedScale::preserving},
          .mechanism = mechanism};
}

/// Calls work(first, chunk) for one chunk after another.
template <class Work>
void for_each_chunk(std::span<const std::byte> text, const Matrix<float>& table, Index chunk, const Work& work) {
  Matrix<float> rows;
  for (std::size_t first = 0; first < text.size(); first += static_cast<std::size_t>(chunk)) {
    embed(table, text.subspan(first, std::min(text.size() - first, static_cast<std::size_t>(chunk))), rows);
    work(static_cast<Index>(first), rows);
  }
}

/// Two passes over the text: accumulate every chunk, then let every chunk attend. Returns the seconds taken.
double linformer_seconds(const Options& options, std::span<const std::byte> text, const Matrix<float>& table,
                         linformer::ThreadPool& pool) {
  const auto length = static_cast<Index>(text.size());
  const linformer::LinformerAttention<float> attention(configuration(options, length, linformer::Mechanism::linformer),
                                                       /*seed=*/42);
  linformer::Workspace workspace;
  Progress progress("Linformer, " + std::to_string(length) + " tokens", 2.0 * static_cast<double>(length), "rows");
  const auto start = std::chrono::steady_clock::now();

  auto context = attention.empty_context();
  for_each_chunk(text, table, options.chunk, [&](Index first, const Matrix<float>& rows) {
    attention.accumulate(context, rows, first, {.workspace = &workspace, .pool = &pool});
    progress.update(static_cast<double>(first + rows.rows()));
  });
  const auto keys_values = attention.keys_values(context);
  Matrix<float> y(options.chunk, options.width);
  for_each_chunk(text, table, options.chunk, [&](Index first, const Matrix<float>& rows) {
    attention.attend(rows, keys_values, y.topRows(rows.rows()), first, {.workspace = &workspace, .pool = &pool});
    progress.update(static_cast<double>(length + first + rows.rows()));
  });
  return seconds_since(start);
}

double softmax_seconds(const Options& options, std::span<const std::byte> text, const Matrix<float>& table,
                       linformer::ThreadPool& pool) {
  const linformer::LinformerAttention<float> attention(
      configuration(options, static_cast<Index>(text.size()), linformer::Mechanism::softmax_tiled), /*seed=*/42);
  const auto start = std::chrono::steady_clock::now();
  Matrix<float> x, y;
  embed(table, text, x);
  attention.forward(x, y, {.pool = &pool});
  return seconds_since(start);
}

void read_document(const Options& options, const std::string& path) {
  const linformer::MappedFile file(path);
  const auto text = file.bytes();
  std::printf("%s: %zu bytes, a token each; D = %td, h = %td, k = %td, %td thread%s\n", path.c_str(), text.size(),
              options.width, options.heads, options.projected_length, options.threads, options.threads == 1 ? "" : "s");
  if (text.empty()) {
    std::printf("  nothing to read\n");
    return;
  }
  std::printf("%12s | %12s %12s %12s | %12s %12s\n", "tokens", "Linformer s", "tokens/s", "peak MiB", "softmax s",
              "tokens/s");
  const Matrix<float> table = byte_embedding(options.width);
  linformer::ThreadPool pool(options.threads);
  double budget = options.budget;
  double last = 0;
  std::size_t last_length = 0;
  for (std::size_t length = 4096;; length *= 4) {
    length = std::min(length, text.size());
    const auto tokens = static_cast<double>(length);
    const double linear = linformer_seconds(options, text.first(length), table, pool);
    std::printf("%12zu | %12.3f %12.0f %12.0f | ", length, linear, tokens / linear, peak_memory());
    std::fflush(stdout);
    // Softmax attention is not begun where the square law says that it would outlast the budget.
    const double growth = last_length == 0 ? 0 : tokens / static_cast<double>(last_length);
    const double expected = last * growth * growth;
    if (budget > 0 && expected <= budget) {
      last = softmax_seconds(options, text.first(length), table, pool);
      last_length = length;
      budget -= last;
      std::printf("%12.3f %12.0f\n", last, tokens / last);
    } else {
      budget = 0;
      std::printf("%12s %12s\n", ("~" + std::to_string(static_cast<long>(expected))).c_str(), "over budget");
    }
    if (length == text.size()) return;
  }
}

}  // namespace

int main(int argc, char** argv) try {
  Options options;
  CLI::App app("Reads files as bytes through one Linformer layer and through softmax attention, and compares them.");
  app.add_option("files", options.files, "files of any kind and size")->required()->check(CLI::ExistingFile);
  app.add_option("--width", options.width, "model width D")->capture_default_str();
  app.add_option("--heads", options.heads, "heads h")->capture_default_str();
  app.add_option("--projected-length", options.projected_length, "projected length k")->capture_default_str();
  app.add_option("--chunk", options.chunk, "tokens held at a time")->capture_default_str()->check(CLI::PositiveNumber);
  app.add_option("--threads", options.threads, "threads")->capture_default_str()->check(CLI::PositiveNumber);
  app.add_option("--budget", options.budget, "seconds that softmax attention may take in all, for each file")
      ->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  for (const std::string& path : options.files) read_document(options, path);
} catch (const std::exception& error) {
  std::fprintf(stderr, "long_document: %s\n", error.what());
  return 1;
}
