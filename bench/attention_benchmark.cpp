// Linformer against the two O(n²) baselines, one attention layer: time and working memory over n and k (Table 3 of the
// paper). scripts/report.py turns the JSON output into tables and plots.

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"  // GCC 12's own AVX-512 header, gcc.gnu.org/PR105593
#endif

#include "allocation_meter.hpp"
#include "flags.hpp"
#include "multiply_add_peak.hpp"
#include "program.hpp"
#include "run_context.hpp"

#include <linformer/linformer.hpp>

#include <benchmark/benchmark.h>

#ifdef __unix__
#include <unistd.h>
#endif

#include <cstdio>
#include <fstream>
#include <regex>

namespace {

namespace bench = linformer::bench;
using linformer::Index;
using linformer::Mechanism;
using linformer::Order;
using linformer::ProjectionKind;
using linformer::Sharing;

constexpr const char* help =
    R"(Time and working memory of one attention layer, forward: Linformer against softmax attention, materialised
and tiled, over sequence length n and projected length k.

  --grid=quick|full     quick (default): n to 16384, the baselines to 8192, three k, under two minutes
                        full: n 512 ... 65536 by k 128 ... 2048, about half an hour; 17 GiB for the largest softmax
  --n=LIST              sequence lengths instead of the grid's; the baselines take them all
  --k=LIST              projected lengths instead of the grid's; those below n are measured
  --sharing=LIST        none, headwise, key_value (default), layerwise
  --projection=KIND     learned (default), gaussian, rademacher, mean_pooling, growing_pooling, max_pooling,
                        convolution, depthwise_convolution
  --order=ORDER         auto (default, the planner's choice), direct, reassociated, absorbed
  --form=FORM           plain (default), frozen, frozen_bf16: weights as they train, or packed once for inference
  --width=D             model width (512)
  --heads=H             heads (8)
  --threads=T           threads of each call (1)
  --budget=SECONDS      leave out what would end later than this (quick: 100, full: none)

A LIST is separated by commas. Calls of one cell are timed in several repetitions; for each n the repetitions of all
mechanisms alternate, so that a machine that speeds up or slows down does so for all of them. A call that takes long is
timed once, cold. Google Benchmark's own flags follow; of these
  --benchmark_repetitions=R  how often the cells of an n take turns (3); in the full grid four times as often where a
                             turn of them all takes less than 8 seconds
  --benchmark_min_time=S     seconds that a repetition should last (quick: 0.2, full: 0.3); a number of calls is
                             derived from it before the run
  --benchmark_filter=REGEX   of names such as linformer/sharing:key_value/n:4096/k:256, softmax/n:4096,
                             softmax_tiled/n:4096; a leading - excludes what matches

)";

constexpr std::pair<const char*, Sharing> sharings[] = {{"none", Sharing::none},
                                                        {"headwise", Sharing::headwise},
                                                        {"key_value", Sharing::key_value},
                                                        {"layerwise", Sharing::layerwise}};
constexpr std::pair<const char*, ProjectionKind> projections[] = {
    {"learned", ProjectionKind::learned},
    {"gaussian", ProjectionKind::gaussian},
    {"rademacher", ProjectionKind::rademacher},
    {"mean_pooling", ProjectionKind::mean_pooling},
    {"growing_pooling", ProjectionKind::growing_pooling},
    {"max_pooling", ProjectionKind::max_pooling},
    {"convolution", ProjectionKind::convolution},
    {"depthwise_convolution", ProjectionKind::depthwise_convolution}};
constexpr std::pair<const char*, std::optional<Order>> orders[] = {{"auto", std::nullopt},
                                                                   {"direct", Order::direct},
                                                                   {"reassociated", Order::reassociated},
                                                                   {"absorbed", Order::absorbed}};
constexpr std::pair<const char*, std::optional<linformer::Precision>> forms[] = {
    {"plain", std::nullopt}, {"frozen", linformer::Precision::full}, {"frozen_bf16", linformer::Precision::bf16}};
constexpr std::pair<const char*, bool> grids[] = {{"quick", false}, {"full", true}};

/// What is measured, as asked for.
struct Settings {
  explicit Settings(const bench::Flags& flags)
      : full(flags.choice("grid", "quick", grids).second),
        lengths(flags.numbers("n", full ? std::vector<Index>{512, 1024, 2048, 4096, 8192, 16384, 32768, 65536}
                                        : std::vector<Index>{512, 1024, 2048, 4096, 8192, 16384})),
        longest_baseline(full || flags.given("n") ? std::numeric_limits<Index>::max() : 8192),
        projected_lengths(flags.numbers(
            "k", full ? std::vector<Index>{128, 256, 512, 1024, 2048} : std::vector<Index>{128, 256, 512})),
        sharing(flags.choices("sharing", "key_value", sharings)),
        projection(flags.choice("projection", "learned", projections)),
        order(flags.choice("order", "auto", orders)),
        form(flags.choice("form", "plain", forms)),
        width(flags.number("width", Index{512})),
        heads(flags.number("heads", Index{8})),
        threads(flags.number("threads", 1)),
        repetitions(flags.number("benchmark_repetitions", 3)),
        repetition_seconds(flags.number("benchmark_min_time", full ? 0.3 : 0.2)),
        once_seconds(full ? 10.0 : 1.5),
        short_turns(full ? 4 : 1),
        budget(flags.number("budget", full ? std::numeric_limits<double>::infinity() : 100.0)),
        filter(flags.text("benchmark_filter", "")) {}

  bool full;
  std::vector<Index> lengths;
  Index longest_baseline;
  std::vector<Index> projected_lengths;
  std::vector<std::pair<const char*, Sharing>> sharing;
  std::pair<const char*, ProjectionKind> projection;
  std::pair<const char*, std::optional<Order>> order;
  std::pair<const char*, std::optional<linformer::Precision>> form;
  Index width, heads;
  int threads, repetitions;
  double repetition_seconds;  ///< that a repetition should last
  double once_seconds;        ///< a call that takes longer than this is timed once, cold
  int short_turns;            ///< how often the cells of an n that are done in `short_seconds` take each turn
  double short_seconds = 8;
  double budget;  ///< seconds from the start
  std::string filter;
};

/// One point of the grid.
struct Cell {
  std::string name;
  linformer::AttentionConfig config;
  Index n;
  double seconds = 0;  ///< of a call, a guess from its operations
  int calls = 1;       ///< timed in each repetition
  bool once = false;   ///< no warm-up, no repetition

  [[nodiscard]] double total_seconds() const { return seconds * (once ? 1 : warm_up_calls + calls); }

  /// The first call is measured for memory, the second finds the workspace in one piece.
  static constexpr int warm_up_calls = 2;
};

/// Bytes of the projections and of working memory at least, to judge whether a cell fits the machine.
double least_bytes(const Cell& cell) {
  const auto n = static_cast<double>(cell.n), width = static_cast<double>(cell.config.model_width);
  double values = 4 * n * width;  // x, y, and what the mechanism needs of that kind
  if (cell.config.mechanism == Mechanism::softmax) values += n * n + n * width;
  if (cell.config.mechanism == Mechanism::linformer && cell.config.projection.kind == ProjectionKind::learned) {
    double distinct = cell.config.sharing == Sharing::headwise ? 2 : 1;
    if (cell.config.sharing == Sharing::none) distinct = 2 * static_cast<double>(cell.config.heads);
    values += distinct * n * static_cast<double>(cell.config.projected_length.list().front());
  }
  return values * sizeof(float);
}

/// Bytes that can be allocated without swapping, within the limit of a container if there is one.
double available_bytes() {
  double bytes = std::numeric_limits<double>::infinity();
  std::ifstream info("/proc/meminfo");
  for (std::string line; std::getline(info, line);) {
    if (line.starts_with("MemAvailable:")) bytes = std::stod(line.substr(13)) * 1024;
  }
  double limit = 0, used = 0;
  if (std::ifstream("/sys/fs/cgroup/memory.max") >> limit && std::ifstream("/sys/fs/cgroup/memory.current") >> used) {
    bytes = std::min(bytes, limit - used);
  }
  return bytes;
}

/// Which cell runs and how much time is left, on stderr: a bar on a terminal, plain lines elsewhere.
class Progress {
 public:
  void expect(const Cell& cell) {
    expected_ += cell.total_seconds();
    ++cells_;
  }

  /// Seconds since the first cell began.
  [[nodiscard]] double elapsed() const { return std::chrono::duration<double>(Clock::now() - start_).count(); }

  /// What a guess of some seconds amounts to, by how the guesses so far turned out.
  [[nodiscard]] double corrected(double seconds) const { return done_ > 0 ? seconds * elapsed() / done_ : seconds; }

  void begin(const Cell& cell) {
    if (cell_++ == 0) start_ = Clock::now();
    const int left = static_cast<int>(corrected(expected_ - done_));
    if (terminal_) {
      constexpr std::size_t width = 30;
      const auto filled = static_cast<std::size_t>(width * done_ / expected_);
      std::fprintf(stderr, "\r\033[K[%s%s] run %d of %d, %d:%02d left: %s", std::string(filled, '#').c_str(),
                   std::string(width - filled, '.').c_str(), cell_, cells_, left / 60, left % 60, cell.name.c_str());
    } else {
      std::fprintf(stderr, "run %d of %d, %d:%02d left: %s\n", cell_, cells_, left / 60, left % 60, cell.name.c_str());
    }
    std::fflush(stderr);
  }

  void end(const Cell& cell) {
    done_ = std::min(expected_, done_ + cell.total_seconds());
    if (terminal_) std::fputs("\r\033[K", stderr);
  }

 private:
  using Clock = std::chrono::steady_clock;

  static bool is_terminal() {
#ifdef __unix__
    return isatty(STDERR_FILENO) == 1;
#else
    return false;
#endif
  }

  bool terminal_ = is_terminal();
  int cells_ = 0, cell_ = 0;
  double expected_ = 0, done_ = 0;
  Clock::time_point start_ = Clock::now();
};

/// Times the calls of one repetition of a cell.
void measure(benchmark::State& state, const Cell& cell, const Settings& settings, double peak) {
  linformer::LinformerAttention<float> attention(cell.config, /*seed=*/1);
  linformer::Matrix<float> x(cell.n, settings.width), y = linformer::Matrix<float>::Zero(cell.n, settings.width);
  linformer::fill_normal(std::span(x.data(), static_cast<std::size_t>(x.size())), linformer::RandomStream(2), 1.0F);

  linformer::ThreadPool pool(settings.threads);
  linformer::Workspace workspace;
  linformer::ForwardOptions<float> options;
  options.pool = &pool;
  options.workspace = &workspace;
  const linformer::Plan plan = attention.plan(cell.n);
  double operations = plan.softmax;
  if (cell.config.mechanism == Mechanism::linformer) {
    options.order = settings.order.second.value_or(plan.order);
    operations = plan.operations(*options.order);
    for (const auto& [name, order] : orders) {
      if (order == options.order) state.SetLabel(name);
    }
  }

  std::optional<linformer::FrozenAttention<float>> frozen;
  if (settings.form.second) frozen.emplace(attention.frozen(*settings.form.second));

  std::size_t memory = 0;
  const bench::AllocationMeter meter;
  const auto call = [&] {
    if (frozen) {
      frozen->forward(x, y, options);
    } else {
      attention.forward(x, y, options);
    }
    if (memory == 0) memory = meter.peak_bytes();
    benchmark::ClobberMemory();
  };
  for (int i = 0; i < (cell.once ? 0 : Cell::warm_up_calls); ++i) call();
  const auto begin = std::chrono::steady_clock::now();
  for ([[maybe_unused]] auto iteration : state) call();
  const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - begin;
  const double seconds = elapsed.count() / static_cast<double>(state.iterations());

  std::size_t projection_bytes = 0;
  attention.projections().for_each_parameter(
      [&](const auto&, const auto&, auto values) { projection_bytes += values.size_bytes(); });
  state.counters["tokens/s"] = static_cast<double>(cell.n) / seconds;
  state.counters["GFLOP/s"] = operations / seconds / 1e9;
  state.counters["peak_fraction"] = operations / seconds / peak;
  if (meter.available) state.counters["working_bytes"] = static_cast<double>(memory);
  state.counters["projection_bytes"] = static_cast<double>(projection_bytes);
}

/// Measures a cell, or says why not.
void run(benchmark::State& state, const Cell& cell, const Settings& settings, double peak, Progress& progress) {
  progress.begin(cell);
  char reason[120] = "";
  if (const double needed = least_bytes(cell), available = available_bytes(); needed > available) {
    std::snprintf(reason, sizeof reason, "skipped: needs %.1f GiB of memory, %.1f GiB are available",
                  needed / (1 << 30), available / (1 << 30));
  } else if (progress.elapsed() + progress.corrected(cell.total_seconds()) > settings.budget) {
    std::snprintf(reason, sizeof reason, "skipped: would exceed --budget=%g seconds", settings.budget);
  } else {
    try {
      measure(state, cell, settings, peak);
    } catch (const std::exception& error) {
      std::snprintf(reason, sizeof reason, "%s", error.what());
    }
  }
  progress.end(cell);
  if (*reason != '\0') state.SkipWithError(reason);
}

/// The cells of one n, in the order in which they take turns.
std::vector<Cell> cells_of(Index n, const Settings& settings, double peak) {
  const linformer::AttentionConfig layer{.sequence_length = n,
                                         .model_width = settings.width,
                                         .heads = settings.heads,
                                         .projection = {.kind = settings.projection.second}};
  const std::string suffix = std::string("/n:") + std::to_string(n);
  std::vector<Cell> cells;
  const auto add = [&](const std::string& name, Index k, Sharing sharing, Mechanism mechanism) {
    Cell cell{.name = name, .config = layer, .n = n};
    cell.config.projected_length = k;
    cell.config.sharing = sharing;
    cell.config.mechanism = mechanism;
    const bool negative = settings.filter.starts_with('-');
    if (std::regex_search(name, std::regex(settings.filter.substr(negative ? 1 : 0))) == negative) return;
    const linformer::AttentionShape shape{.queries = n,
                                          .context = n,
                                          .model_width = settings.width,
                                          .context_width = settings.width,
                                          .heads = settings.heads,
                                          .head_width = settings.width / settings.heads,
                                          .projected_length = static_cast<double>(k)};
    const linformer::Plan plan = linformer::make_plan(shape);
    cell.seconds = (mechanism == Mechanism::linformer ? plan.direct : plan.softmax) / (0.4 * peak);
    cell.once = cell.seconds > settings.once_seconds;
    cell.calls = cell.once ? 1 : std::clamp(static_cast<int>(settings.repetition_seconds / cell.seconds), 1, 10000);
    cells.push_back(std::move(cell));
  };
  if (n <= settings.longest_baseline) {
    add("softmax" + suffix, 0, Sharing::headwise, Mechanism::softmax);
    add("softmax_tiled" + suffix, 0, Sharing::headwise, Mechanism::softmax_tiled);
  }
  for (const auto& [sharing_name, sharing] : settings.sharing) {
    for (const Index k : settings.projected_lengths) {
      if (k >= n) continue;
      add(std::string("linformer/sharing:") + sharing_name + suffix + "/k:" + std::to_string(k), k, sharing,
          Mechanism::linformer);
    }
  }
  return cells;
}

void describe_run(const Settings& settings, double core_peak, double peak) {
  using benchmark::AddCustomContext;
  bench::describe_machine();
  AddCustomContext("peak_gflops_one_core", std::to_string(core_peak / 1e9));
  AddCustomContext("peak_gflops", std::to_string(peak / 1e9));
  AddCustomContext("scalar", "float");
  AddCustomContext("grid", settings.full ? "full" : "quick");
  AddCustomContext("threads", std::to_string(settings.threads));
  AddCustomContext("model_width", std::to_string(settings.width));
  AddCustomContext("heads", std::to_string(settings.heads));
  AddCustomContext("projection", settings.projection.first);
  AddCustomContext("order", settings.order.first);
  AddCustomContext("form", settings.form.first);
  AddCustomContext("memory_measured", bench::AllocationMeter::available ? "yes" : "no: glibc only");
}

void measure_all(const bench::Flags& flags) {
  const Settings settings(flags);
  linformer::resolved({.sequence_length = 1, .model_width = settings.width, .heads = settings.heads});

  const double core_peak = bench::multiply_add_peak<float>();
  const double peak = settings.threads == 1 ? core_peak : bench::multiply_add_peak<float>(settings.threads);
  describe_run(settings, core_peak, peak);
  // Google Benchmark's own interleaving shuffles the whole grid. Here only the cells of one n take turns, each
  // repetition a benchmark of its own under the same name: what is compared runs close together.
  Progress progress;
  for (const Index n : settings.lengths) {
    const std::vector<Cell> cells = cells_of(n, settings, peak);
    double seconds = 0;
    for (const Cell& cell : cells) seconds += cell.total_seconds();
    const int turns = settings.repetitions * (seconds < settings.short_seconds ? settings.short_turns : 1);
    for (int repetition = 0; repetition < turns; ++repetition) {
      for (const Cell& cell : cells) {
        if (cell.once && repetition > 0) continue;
        progress.expect(cell);
        benchmark::RegisterBenchmark(
            cell.name.c_str(),
            [&settings, &progress, cell, peak](benchmark::State& state) { run(state, cell, settings, peak, progress); })
            ->Iterations(cell.calls)
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
  return bench::run_program(argc, argv,
                            {"grid", "n", "k", "sharing", "projection", "order", "form", "width", "heads", "threads",
                             "budget", "benchmark_filter", "benchmark_repetitions", "benchmark_min_time"},
                            print_help, measure_all);
}
