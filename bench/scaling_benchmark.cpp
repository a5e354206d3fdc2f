// What threads buy: the time of a frozen layer on 1, 2, … threads, beside what the cores of this machine give in the
// same minutes. Cores that share a clock, a power budget or a hardware thread's units give less than their number.

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"  // GCC 12's own AVX-512 header, gcc.gnu.org/PR105593
#endif

#include "flags.hpp"
#include "multiply_add_peak.hpp"
#include "program.hpp"
#include "run_context.hpp"

#include <linformer/linformer.hpp>

#include <benchmark/benchmark.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <limits>
#include <memory>
#include <string>
#include <thread>
#include <vector>

namespace {

namespace bench = linformer::bench;
using linformer::Index;

constexpr const char* help =
    R"(Time of a frozen layer on growing numbers of threads: one sequence of 4,096 tokens, one of 32,768, and a batch of eight
of 512. D = 512, h = 8, k = 256, key-value sharing, float.

  --threads=LIST    numbers of threads, separated by commas (1 to as many as the machine has); 1 is always measured
  --turns=T         how often they take turns (8)

Reported is the best call. Of a number of threads, against one:
  speed_up          how much faster the layer is
  peak_ratio        how many times more multiply-adds the machine executes, measured in the same turns
  of_peak_scaling   speed_up / peak_ratio: 1 if threads lose nothing that the machine has to give

Google Benchmark's own flags follow.

)";

struct Workload {
  const char* name;
  Index sequences, n;
};

/// The best of all turns, of one number of threads.
struct Best {
  double seconds = std::numeric_limits<double>::infinity();
  double peak = 0;  ///< operations per second
};

/// A workload on every number of threads, which take turns so that a machine that speeds up or slows down does so for
/// all of them. Measured when a result is first asked for.
class Scaling {
 public:
  Scaling(const Workload& workload, std::vector<Index> threads, int turns)
      : workload_(workload), threads_(std::move(threads)), turns_(turns) {}

  [[nodiscard]] const Best& best(Index threads) {
    if (results_.empty()) measure();
    return results_[static_cast<std::size_t>(std::ranges::find(threads_, threads) - threads_.begin())];
  }

 private:
  /// Threads and scratch memory that outlast a call.
  struct Resources {
    explicit Resources(Index threads) : pool(threads) {}
    linformer::ThreadPool pool;
    linformer::Workspace workspace;
  };

  void measure() {
    constexpr Index width = 512;
    const linformer::FrozenAttention<float> attention =
        linformer::LinformerAttention<float>({.sequence_length = workload_.n,
                                              .model_width = width,
                                              .heads = 8,
                                              .projected_length = 256,
                                              .sharing = linformer::Sharing::key_value},
                                             /*seed=*/1)
            .frozen();
    const std::vector<Index> lengths(static_cast<std::size_t>(workload_.sequences), workload_.n);
    linformer::Batch<float> x{linformer::BatchLayout::from_lengths(lengths), {}}, y;
    x.rows.resize(workload_.sequences * workload_.n, width);
    linformer::fill_normal(std::span(x.rows.data(), static_cast<std::size_t>(x.rows.size())),
                           linformer::RandomStream(2), 1.0F);

    std::vector<std::unique_ptr<Resources>> resources;
    for (const Index threads : threads_) resources.push_back(std::make_unique<Resources>(threads));
    const auto seconds_of_call = [&](Resources& with) {
      linformer::ForwardOptions<float> options;
      options.pool = &with.pool;
      options.workspace = &with.workspace;
      const Clock::time_point begin = Clock::now();
      attention.forward(x, y, options);
      benchmark::ClobberMemory();
      return std::chrono::duration<double>(Clock::now() - begin).count();
    };
    constexpr int warm_up_calls = 2;  // the first fills scratch memory, the second finds it in one piece
    for (const auto& with : resources) {
      for (int call = 0; call < warm_up_calls; ++call) seconds_of_call(*with);
    }

    std::vector<Best> results(threads_.size());
    constexpr double turn_seconds = 0.1;  // short calls are made several times a turn
    constexpr int peak_repetitions = 3;
    for (int turn = 0; turn < turns_; ++turn) {
      for (std::size_t i = 0; i < threads_.size(); ++i) {
        for (double spent = 0; spent < turn_seconds;) {
          const double seconds = seconds_of_call(*resources[i]);
          results[i].seconds = std::min(results[i].seconds, seconds);
          spent += seconds;
        }
        results[i].peak =
            std::max(results[i].peak, bench::multiply_add_peak<float>(static_cast<int>(threads_[i]), peak_repetitions));
      }
    }
    results_ = std::move(results);
  }

  using Clock = std::chrono::steady_clock;

  Workload workload_;
  std::vector<Index> threads_;
  int turns_;
  std::vector<Best> results_;
};

void report(benchmark::State& state, Scaling& scaling, Index threads) {
  for ([[maybe_unused]] auto iteration : state) {
    const Best &one = scaling.best(1), &these = scaling.best(threads);
    const double speed_up = one.seconds / these.seconds, peak_ratio = these.peak / one.peak;
    state.SetIterationTime(these.seconds);
    state.counters["speed_up"] = speed_up;
    state.counters["peak_ratio"] = peak_ratio;
    state.counters["of_peak_scaling"] = speed_up / peak_ratio;
  }
}

void measure_all(const bench::Flags& flags) {
  std::vector<Index> all;
  for (Index count = 1; count <= static_cast<Index>(std::max(1U, std::thread::hardware_concurrency())); ++count) {
    all.push_back(count);
  }
  std::vector<Index> threads = flags.numbers("threads", all);
  threads.push_back(1);
  std::ranges::sort(threads);
  threads.erase(std::unique(threads.begin(), threads.end()), threads.end());
  const int turns = flags.number("turns", 8);

  bench::describe_machine();
  constexpr Workload workloads[] = {
      {"sequence/n:4096", 1, 4096}, {"sequence/n:32768", 1, 32768}, {"batch:8/n:512", 8, 512}};
  for (const Workload& workload : workloads) {
    const auto scaling = std::make_shared<Scaling>(workload, threads, turns);
    for (const Index count : threads) {
      benchmark::RegisterBenchmark(
          (std::string("scaling/") + workload.name + "/threads:" + std::to_string(count)).c_str(),
          [=](benchmark::State& state) { report(state, *scaling, count); })
          ->Iterations(1)
          ->UseManualTime()
          ->Unit(benchmark::kMillisecond);
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
  return bench::run_program(argc, argv, {"threads", "turns"}, print_help, measure_all);
}
