// The kernels alone, on the shapes that one attention layer gives them, on each instruction set of this machine: what
// fraction of the multiply-add peak, measured in the same run, they reach. Eigen's own products beside them.

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"  // GCC 12's own AVX-512 header, gcc.gnu.org/PR105593
#endif

#include "multiply_add_peak.hpp"

#include <linformer/linformer.hpp>

#include <benchmark/benchmark.h>

#include <cstdio>
#include <string>

namespace {

using namespace linformer;

double peak = 0;  // operations per second of one core

/// @param operations of one call
void report(benchmark::State& state, double operations) {
  state.counters["GFLOP/s"] = benchmark::Counter(operations * 1e-9, benchmark::Counter::kIsIterationInvariantRate);
  state.counters["of_peak"] = benchmark::Counter(operations / peak, benchmark::Counter::kIsIterationInvariantRate);
}

ScratchMatrix<float> random(Workspace& workspace, Index rows, Index cols) {
  auto values = workspace.matrix<float>(rows, cols);
  values.setRandom();
  return values;
}

/// aᵀ·b of p × m and p × n.
void product(benchmark::State& state, Isa isa, Precision precision, Index m, Index n, Index p) {
  Workspace workspace;
  const Compute compute{workspace, isa, precision};
  const Operand<float> a = operand<float>(random(workspace, p, m), compute);
  const Operand<float> b = operand<float>(random(workspace, p, n), compute);
  auto out = random(workspace, m, n);
  for ([[maybe_unused]] auto iteration : state) {
    multiply<float>(isa, a, b, out);
    benchmark::ClobberMemory();
  }
  report(state, 2.0 * static_cast<double>(m) * static_cast<double>(n) * static_cast<double>(p));
}

/// A tile of queries of one head against k keys, softmax and values: its two products counted.
void attend(benchmark::State& state, Isa isa, Precision precision, Index d, Index k) {
  constexpr Index queries = linformer::detail::query_tile;
  Workspace workspace;
  const Compute compute{workspace, isa, precision};
  const Operand<float> q = operand<float>(random(workspace, d, queries), compute);
  const Operand<float> keys = operand<float>(random(workspace, d, k), compute);
  const Operand<float> values = operand<float>(random(workspace, k, d), compute);
  auto out = random(workspace, d, queries);
  AttendTile<float> tile(k, queries, compute);
  for ([[maybe_unused]] auto iteration : state) {
    tile.begin(queries);
    tile.absorb(q, keys, values, nullptr, out, true, [](const auto&, const auto&) {});
    benchmark::ClobberMemory();
  }
  report(state, 4.0 * static_cast<double>(queries) * static_cast<double>(d) * static_cast<double>(k));
}

/// exp of a tile of scores, in values per second.
void softmax(benchmark::State& state, Isa isa, Index k) {
  constexpr Index queries = linformer::detail::query_tile;
  Workspace workspace;
  auto scores = random(workspace, k, queries);
  auto running = random(workspace, 3, queries);
  for ([[maybe_unused]] auto iteration : state) {
    absorb_scores<float>(isa, scores, running.row(0), running.row(1), running.row(2));
    benchmark::ClobberMemory();
  }
  state.SetItemsProcessed(state.iterations() * k * queries);
}

void transposition(benchmark::State& state, Isa isa, Index rows, Index cols) {
  Workspace workspace;
  const auto in = random(workspace, rows, cols);
  auto out = random(workspace, cols, rows);
  for ([[maybe_unused]] auto iteration : state) {
    transpose<float>(isa, in, out);
    benchmark::ClobberMemory();
  }
  state.SetBytesProcessed(state.iterations() * rows * cols * 8);
}

void rounding(benchmark::State& state, Isa isa, Index rows, Index cols) {
  Workspace workspace;
  const auto in = random(workspace, rows, cols);
  auto out = random(workspace, rows / 2, cols);
  for ([[maybe_unused]] auto iteration : state) {
    pair_rows(isa, in, out);
    benchmark::ClobberMemory();
  }
  state.SetBytesProcessed(state.iterations() * rows * cols * 6);
}

void register_all() {
  const auto add = [](const std::string& name, auto call) { benchmark::RegisterBenchmark(name.c_str(), call); };
  struct Shape {
    const char* name;
    Index m, n, p;
  };
  // D = 512, h = 8, k = 256: the products of one layer.
  constexpr Shape shapes[] = {{"W_Q.x", 512, 96, 512},       {"attended.W_O", 96, 512, 512},
                              {"E.X", 256, 512, 512},        {"W_K.(E.X)", 512, 256, 512},
                              {"keys.queries", 256, 96, 64}, {"values.weights", 64, 96, 256},
                              {"square", 1024, 1024, 1024}};
  for (const auto& [isa_name, isa] : isa_names) {
    if (!is_supported(isa)) continue;
    const std::string suffix = "/isa:" + std::string(isa_name);
    for (const Precision precision : {Precision::full, Precision::bf16}) {
      if (precision == Precision::bf16 && isa == Isa::eigen) continue;  // the reference, not meant to be fast
      const std::string kind = precision == Precision::full ? "float" : "bf16";
      for (const Shape& s : shapes) {
        add("product/" + kind + "/" + s.name + suffix,
            [=, isa = isa](benchmark::State& state) { product(state, isa, precision, s.m, s.n, s.p); });
      }
      for (const Index d : {64, 32}) {
        add("attend/" + kind + "/d:" + std::to_string(d) + "/k:256" + suffix,
            [=, isa = isa](benchmark::State& state) { attend(state, isa, precision, d, 256); });
      }
    }
    add("softmax/k:256" + suffix, [isa = isa](benchmark::State& state) { softmax(state, isa, 256); });
    add("transpose/512x512" + suffix, [isa = isa](benchmark::State& state) { transposition(state, isa, 512, 512); });
    add("round_to_bf16/512x96" + suffix, [isa = isa](benchmark::State& state) { rounding(state, isa, 512, 96); });
  }
}

}  // namespace

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  peak = bench::multiply_add_peak<float>();
  benchmark::AddCustomContext("peak_gflops_one_core", std::to_string(peak / 1e9));
  benchmark::AddCustomContext("default_isa", std::string(name_of(default_isa())));
  register_all();
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  return 0;
}
