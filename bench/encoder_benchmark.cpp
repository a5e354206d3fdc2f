// A whole encoder with Linformer's attention against the same with softmax attention: time and memory of inference, or
// of a training step, over n and k. What the paper's Table 3 measures of a whole model. scripts/report.py turns the
// JSON output into tables and plots.

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"  // GCC 12's own AVX-512 header, gcc.gnu.org/PR105593
#pragma GCC diagnostic ignored "-Wuninitialized"
#endif

#include "allocation_meter.hpp"
#include "flags.hpp"
#include "multiply_add_peak.hpp"
#include "program.hpp"
#include "run_context.hpp"

#include <linformer/linformer.hpp>
#include <linformer/train/masked_language_loss.hpp>
#include <linformer/train/trainer.hpp>

#include <benchmark/benchmark.h>

#include <cstdio>
#include <memory>
#include <numeric>

namespace {

namespace bench = linformer::bench;
using linformer::Index;
using linformer::Mechanism;
using Model = linformer::MaskedLanguageModel<float>;

constexpr const char* help =
    R"(Time and memory of a whole encoder, one sequence at a time: Linformer (key-value sharing) against softmax
attention, materialised and tiled, over sequence length n and projected length k.

  --call=CALL           inference (default): the encoder's forward call, or
                        training: a step of masked-language-model training, 15 % of the tokens masked, dropout 0.1,
                        backward, clipping and AdamW among it
  --n=LIST              sequence lengths (512,1024,2048,4096,8192)
  --k=LIST              projected lengths (128,256); those below n are measured
  --longest-softmax=N   longest n of the two baselines (8192)
  --preset=NAME         tiny (2 layers, D = 64), small (default: 4, 256), base (12, 768)
  --vocabulary=V        (8192)
  --threads=T           (1)
  --recompute=yes|no    training keeps the input of each layer alone (no)

Memory is the high-water mark of what the first call allocates: scratch memory, and in training what forward keeps for
backward; weights, gradients and moments are not in it. Google Benchmark's own flags follow; --benchmark_repetitions=R
is how often all cells take turns (3).

)";

enum class Call { inference, training };
constexpr std::pair<const char*, Call> calls[] = {{"inference", Call::inference}, {"training", Call::training}};
constexpr std::pair<const char*, bool> answers[] = {{"no", false}, {"yes", true}};
constexpr std::pair<const char*, linformer::EncoderConfig (*)()> sizes[] = {
    {"tiny", linformer::presets::tiny}, {"small", linformer::presets::small}, {"base", linformer::presets::base}};

struct Settings {
  explicit Settings(const bench::Flags& flags)
      : call(flags.choice("call", "inference", calls)),
        lengths(flags.numbers("n", {512, 1024, 2048, 4096, 8192})),
        projected_lengths(flags.numbers("k", {128, 256})),
        longest_softmax(flags.number("longest-softmax", Index{8192})),
        preset(flags.choice("preset", "small", sizes)),
        vocabulary(flags.number("vocabulary", Index{8192})),
        threads(flags.number("threads", 1)),
        repetitions(flags.number("benchmark_repetitions", 3)),
        recompute(flags.choice("recompute", "no", answers)) {}

  std::pair<const char*, Call> call;
  std::vector<Index> lengths, projected_lengths;
  Index longest_softmax;
  std::pair<const char*, linformer::EncoderConfig (*)()> preset;
  Index vocabulary;
  int threads, repetitions;
  std::pair<const char*, bool> recompute;
};

/// One point of the grid.
struct Cell {
  std::string name;
  linformer::EncoderConfig config;

  /// Multiplications and additions of the products: attention's by its planner, the dense layers', and for training
  /// three times those and the head's; what backward computes again is not counted.
  [[nodiscard]] double operations(Call call, double masked) const {
    const auto n = static_cast<double>(config.sequence_length), width = static_cast<double>(config.model_width);
    const linformer::Plan plan = linformer::make_plan({.queries = config.sequence_length,
                                                       .context = config.sequence_length,
                                                       .model_width = config.model_width,
                                                       .context_width = config.model_width,
                                                       .heads = config.heads,
                                                       .head_width = config.model_width / config.heads,
                                                       .projected_length = static_cast<double>(k)});
    const double attention = config.mechanism == Mechanism::linformer ? plan.operations() : plan.softmax;
    const double forward = static_cast<double>(config.layers) *
                           (attention + 4 * n * width * static_cast<double>(config.feed_forward_width));
    if (call == Call::inference) return forward;
    return 3 * (forward + 2 * masked * width * (width + static_cast<double>(config.vocabulary_size)));
  }

  Index k = 1;
};

/// A model of a cell, and what a call of it takes.
class Subject {
 public:
  Subject(const Cell& cell, const Settings& settings)
      : settings_(settings),
        model_(cell.config, 1),
        pool_(settings.threads),
        tokens_(linformer::TokenBatch::from_sequences(
            std::vector<std::vector<std::int32_t>>{ids(cell.config.sequence_length)})),
        masked_(linformer::TokenMasking({.vocabulary = static_cast<std::int32_t>(cell.config.vocabulary_size),
                                         .mask_id = 4,
                                         .special_ids = {0, 1, 2, 3}})
                    .apply(tokens_.ids, tokens_.layout, std::vector<Index>{0}, 1, 0)),
        out_(cell.config.sequence_length, cell.config.model_width) {
    if (settings.call.second == Call::training) {
      trainer_ = std::make_unique<linformer::Trainer<float, Model>>(
          model_, linformer::TrainerConfig{.schedule = {.kind = linformer::ScheduleKind::constant, .peak = 1e-5}});
    }
  }

  void call() {
    const linformer::Execution execution{pool_, workspace_, linformer::default_isa()};
    if (!trainer_) {
      model_.encoder().forward(tokens_, out_, {}, nullptr, execution);
      return;
    }
    const std::uint64_t step = trainer_->steps();
    trainer_->step(
        model_, 1,
        [&](Index, Model& gradient) {
          return linformer::masked_language_gradient(
              model_, tokens_.layout, masked_,
              {.dropout = linformer::DropoutAddress{.seed = 1, .step = step}, .recompute = settings_.recompute.second},
              1.0, cache_, gradient, execution);
        },
        pool_);
  }

  [[nodiscard]] double masked() const { return static_cast<double>(masked_.rows.size()); }
  [[nodiscard]] std::size_t projection_bytes() const {
    std::size_t bytes = 0;
    model_.encoder().projections().for_each_parameter(
        [&](const auto&, const auto&, auto values) { bytes += values.size_bytes(); });
    return bytes;
  }

 private:
  static std::vector<std::int32_t> ids(Index n) {
    std::vector<std::int32_t> result(static_cast<std::size_t>(n));
    std::iota(result.begin(), result.end(), 5);
    for (std::int32_t& id : result) id = 5 + id * 31 % 250;
    return result;
  }

  const Settings& settings_;
  Model model_;
  linformer::ThreadPool pool_;
  linformer::Workspace workspace_;
  linformer::TokenBatch tokens_;
  linformer::MaskedTokens masked_;
  linformer::Matrix<float> out_;
  linformer::EncoderCache<float> cache_;
  std::unique_ptr<linformer::Trainer<float, Model>> trainer_;
};

void measure(benchmark::State& state, const Cell& cell, const Settings& settings, double peak) {
  std::fprintf(stderr, "%s\n", cell.name.c_str());
  Subject subject(cell, settings);
  const bench::AllocationMeter meter;
  subject.call();
  const std::size_t memory = meter.peak_bytes();
  subject.call();
  const auto begin = std::chrono::steady_clock::now();
  for ([[maybe_unused]] auto iteration : state) subject.call();
  const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - begin;
  const double seconds = elapsed.count() / static_cast<double>(state.iterations());
  const double operations = cell.operations(settings.call.second, subject.masked());
  state.counters["tokens/s"] = static_cast<double>(cell.config.sequence_length) / seconds;
  state.counters["GFLOP/s"] = operations / seconds / 1e9;
  state.counters["peak_fraction"] = operations / seconds / peak;
  if (meter.available) state.counters["working_bytes"] = static_cast<double>(memory);
  state.counters["projection_bytes"] = static_cast<double>(subject.projection_bytes());
}

std::vector<Cell> cells_of(Index n, const Settings& settings) {
  linformer::EncoderConfig config = settings.preset.second();
  config.vocabulary_size = settings.vocabulary;
  config.sequence_length = n;
  config = linformer::resolved(config);
  std::vector<Cell> cells;
  const std::string suffix = "/n:" + std::to_string(n);
  if (n <= settings.longest_softmax) {
    config.mechanism = Mechanism::softmax;
    cells.push_back({"softmax" + suffix, config});
    config.mechanism = Mechanism::softmax_tiled;
    cells.push_back({"softmax_tiled" + suffix, config});
  }
  config.mechanism = Mechanism::linformer;
  for (const Index k : settings.projected_lengths) {
    if (k >= n) continue;
    config.projected_length = k;
    cells.push_back({"linformer/sharing:key_value" + suffix + "/k:" + std::to_string(k), config, k});
  }
  return cells;
}

void measure_all(const bench::Flags& flags) {
  const Settings settings(flags);
  const double peak = bench::multiply_add_peak<float>(settings.threads);
  const linformer::EncoderConfig config = settings.preset.second();
  using benchmark::AddCustomContext;
  bench::describe_machine();
  AddCustomContext("subject", std::string("a whole encoder, ") + std::to_string(config.layers) + " layers, " +
                                  (settings.call.second == Call::training ? "a training step" : "inference"));
  AddCustomContext("peak_gflops", std::to_string(peak / 1e9));
  AddCustomContext("scalar", "float");
  AddCustomContext("threads", std::to_string(settings.threads));
  AddCustomContext("model_width", std::to_string(config.model_width));
  AddCustomContext("heads", std::to_string(config.heads));
  AddCustomContext("projection", "learned");
  AddCustomContext("order", "auto");
  AddCustomContext("recompute", settings.recompute.first);
  for (const Index n : settings.lengths) {
    const std::vector<Cell> cells = cells_of(n, settings);
    for (int repetition = 0; repetition < settings.repetitions; ++repetition) {
      for (const Cell& cell : cells) {
        benchmark::RegisterBenchmark(
            cell.name.c_str(),
            [&settings, cell, peak](benchmark::State& state) { measure(state, cell, settings, peak); })
            ->Iterations(std::max<Index>(1, 4096 / n))
            ->UseRealTime()
            ->Unit(benchmark::kMillisecond);
      }
    }
  }
  benchmark::RunSpecifiedBenchmarks();
}

void print_help() {
  std::fputs(help, stdout);
  benchmark::PrintDefaultHelp();
}

}  // namespace

int main(int argc, char** argv) {
  return bench::run_program(
      argc, argv,
      {"call", "n", "k", "longest-softmax", "preset", "vocabulary", "threads", "recompute", "benchmark_repetitions"},
      print_help, measure_all);
}
