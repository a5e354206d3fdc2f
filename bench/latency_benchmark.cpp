// How long one call of a frozen layer lets its caller wait: every call is timed by itself, and what is reported is the
// median, the 90th and 99th percentile and the longest.

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"  // GCC 12's own AVX-512 header, gcc.gnu.org/PR105593
#endif

#include "flags.hpp"
#include "program.hpp"
#include "run_context.hpp"

#include <linformer/linformer.hpp>

#include <benchmark/benchmark.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <string>
#include <vector>

namespace {

namespace bench = linformer::bench;
using linformer::Index;
using linformer::Precision;

constexpr const char* help =
    R"(Time of single calls of a frozen layer on one sequence: median, 90th and 99th percentile and longest, in milliseconds.
D = 512, h = 8, k = min(256, n/2), key-value sharing; threads and scratch memory are kept from call to call.

  --n=LIST          sequence lengths (128,512,2048,4096)
  --threads=LIST    threads of each call (1,2)
  --calls=C         calls of a cell at most (10000)
  --budget=SECONDS  after which a cell makes no further call (10), beyond the first 20

A LIST is separated by commas. The column Time is the median. Google Benchmark's own flags follow.

)";

struct Cell {
  Index n, threads;
  Precision precision;

  [[nodiscard]] std::string name() const {
    return std::string("latency/") + (precision == Precision::full ? "float" : "bf16") + "/n:" + std::to_string(n) +
           "/threads:" + std::to_string(threads);
  }
};

/// When to stop.
struct Limits {
  std::size_t least_calls = 20, most_calls;
  double seconds;
};

/// Seconds of each call, in ascending order.
template <class Call>
std::vector<double> time_calls(const Limits& limits, const Call& call) {
  using Clock = std::chrono::steady_clock;
  const auto since = [](Clock::time_point begin) {
    return std::chrono::duration<double>(Clock::now() - begin).count();
  };
  constexpr double warm_up_seconds = 0.3;  // the processor's clock and caches, and scratch memory in one piece
  constexpr int warm_up_calls = 3;
  const Clock::time_point cold = Clock::now();
  for (int i = 0; i < warm_up_calls || since(cold) < warm_up_seconds; ++i) call();

  std::vector<double> seconds;
  seconds.reserve(limits.most_calls);
  const Clock::time_point start = Clock::now();
  while (seconds.size() < limits.most_calls && (seconds.size() < limits.least_calls || since(start) < limits.seconds)) {
    const Clock::time_point begin = Clock::now();
    call();
    seconds.push_back(since(begin));
  }
  std::ranges::sort(seconds);
  return seconds;
}

/// The smallest value that at least this share of them does not exceed.
double percentile(const std::vector<double>& ascending, double share) {
  const double rank = std::ceil(share * static_cast<double>(ascending.size()));
  return ascending[static_cast<std::size_t>(std::max(rank, 1.0)) - 1];
}

void measure(benchmark::State& state, const Cell& cell, const Limits& limits) {
  constexpr Index width = 512;
  const linformer::FrozenAttention<float> attention =
      linformer::LinformerAttention<float>({.sequence_length = cell.n,
                                            .model_width = width,
                                            .heads = 8,
                                            .projected_length = std::max(Index{1}, std::min(Index{256}, cell.n / 2)),
                                            .sharing = linformer::Sharing::key_value},
                                           /*seed=*/1)
          .frozen(cell.precision);
  linformer::Matrix<float> x(cell.n, width), y = linformer::Matrix<float>::Zero(cell.n, width);
  linformer::fill_normal(std::span(x.data(), static_cast<std::size_t>(x.size())), linformer::RandomStream(2), 1.0F);

  linformer::ThreadPool pool(cell.threads);
  linformer::Workspace workspace;
  linformer::ForwardOptions<float> options;
  options.pool = &pool;
  options.workspace = &workspace;
  for ([[maybe_unused]] auto iteration : state) {
    const std::vector<double> seconds = time_calls(limits, [&] {
      attention.forward(x, y, options);
      benchmark::ClobberMemory();
    });
    state.SetIterationTime(percentile(seconds, 0.5));
    state.counters["median_ms"] = percentile(seconds, 0.5) * 1e3;
    state.counters["p90_ms"] = percentile(seconds, 0.9) * 1e3;
    state.counters["p99_ms"] = percentile(seconds, 0.99) * 1e3;
    state.counters["max_ms"] = seconds.back() * 1e3;
    state.counters["calls"] = static_cast<double>(seconds.size());
  }
}

void measure_all(const bench::Flags& flags) {
  const Limits limits{.most_calls = flags.number<std::size_t>("calls", 10000), .seconds = flags.number("budget", 10.0)};
  std::vector<Precision> precisions{Precision::full};
  const linformer::Isa isa = linformer::default_isa();
  if (isa == linformer::Isa::avx512_bf16 || isa == linformer::Isa::amx_bf16) precisions.push_back(Precision::bf16);
  const std::vector<Index> lengths = flags.numbers("n", {128, 512, 2048, 4096});
  const std::vector<Index> threads = flags.numbers("threads", {1, 2});

  bench::describe_machine();
  for (const Precision precision : precisions) {
    for (const Index n : lengths) {
      for (const Index count : threads) {
        const Cell cell{n, count, precision};
        benchmark::RegisterBenchmark(cell.name().c_str(),
                                     [=](benchmark::State& state) { measure(state, cell, limits); })
            ->Iterations(1)
            ->UseManualTime()
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
  return bench::run_program(argc, argv, {"n", "threads", "calls", "budget"}, print_help, measure_all);
}
