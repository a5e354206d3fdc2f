// The kernels alone, on the shapes that one attention layer gives them, on each instruction set of this machine: what
// fraction of the multiply-add peak, measured in the same run, they reach. Beside them the products of Eigen and, where
// the build found them, of OpenBLAS and oneDNN, whose results are compared with ours first.
//
// of_peak of a product of bfloat16 refers to the peak of the processor's fastest bfloat16 multiply-add, AMX where it
// has it, whatever path the product takes; where the processor has none, to that of float.

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"  // GCC 12's own AVX-512 header, gcc.gnu.org/PR105593
#endif

#include "flags.hpp"
#include "multiply_add_peak.hpp"
#include "program.hpp"
#include "reference_products.hpp"

#include <linformer/kernels/gelu.hpp>
#include <linformer/kernels/layer_norm.hpp>
#include <linformer/linformer.hpp>

#include <benchmark/benchmark.h>

#include <limits>
#include <string>
#include <utility>

namespace {

using namespace linformer;

double float_peak = 0, bf16_peak = 0;  // operations per second of one core

/// @param operations of one call
void report(benchmark::State& state, Precision precision, double operations) {
  const double peak = precision == Precision::bf16 ? bf16_peak : float_peak;
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
  report(state, precision, 2.0 * static_cast<double>(m) * static_cast<double>(n) * static_cast<double>(p));
}

/// Whether a product lies within twice the bound of ours, γ_p·|aᵀ||b|, of our own: each of the two may err by as much.
bool agrees(const Operand<float>& a, const Operand<float>& b, const Matrix<float>& product) {
  const Isa isa = default_isa();
  Matrix<float> ours(a.cols(), b.cols());
  multiply<float>(isa, a, b, ours);
  const Matrix<float> magnitude = values_of(a).cwiseAbs().transpose() * values_of(b).cwiseAbs();
  const float gamma = static_cast<float>(a.rows()) * std::numeric_limits<float>::epsilon() / 2;
  return ((product - ours).array().abs() <= 2 * gamma * magnitude.array()).all();
}

/// The product of another library.
void reference(benchmark::State& state, const bench::ReferenceProduct& library, Precision precision, Index m, Index n,
               Index p) {
  Workspace workspace;
  const auto a = random(workspace, p, m), b = random(workspace, p, n);
  try {
    const bench::PreparedProduct product = library.prepare(a, b);
    product.run();
    const Compute compute{workspace, default_isa(), precision};
    if (!agrees(operand<float>(a, compute), operand<float>(b, compute), product.result())) {
      state.SkipWithError("its result is not ours");
      return;
    }
    state.SetLabel(product.implementation);
    for ([[maybe_unused]] auto iteration : state) {
      product.run();
      benchmark::ClobberMemory();
    }
  } catch (const std::exception& error) {
    state.SkipWithError(error.what());
    return;
  }
  report(state, precision, 2.0 * static_cast<double>(m) * static_cast<double>(n) * static_cast<double>(p));
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
  report(state, precision, 4.0 * static_cast<double>(queries) * static_cast<double>(d) * static_cast<double>(k));
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

/// GELU of values that each call takes anew, since it works in place; its cost includes that copy.
void activation(benchmark::State& state, Isa isa, Gelu form, Index rows, Index cols) {
  Workspace workspace;
  const auto in = random(workspace, rows, cols);
  auto out = random(workspace, rows, cols);
  for ([[maybe_unused]] auto iteration : state) {
    out = in;
    gelu<float>(isa, form, out);
    benchmark::ClobberMemory();
  }
  state.SetItemsProcessed(state.iterations() * rows * cols);
}

/// The same of the product of a gradient with the derivative.
void activation_gradient(benchmark::State& state, Isa isa, Gelu form, Index rows, Index cols) {
  Workspace workspace;
  const auto in = random(workspace, rows, cols), gradient = random(workspace, rows, cols);
  auto out = random(workspace, rows, cols);
  for ([[maybe_unused]] auto iteration : state) {
    out = gradient;
    gelu_gradient<float>(isa, form, in, out);
    benchmark::ClobberMemory();
  }
  state.SetItemsProcessed(state.iterations() * rows * cols);
}

void normalisation(benchmark::State& state, Isa isa, Index rows, Index cols) {
  Workspace workspace;
  const auto in = random(workspace, rows, cols);
  auto out = random(workspace, rows, cols);
  const Vector<float> weight = Vector<float>::Random(cols), bias = Vector<float>::Random(cols);
  for ([[maybe_unused]] auto iteration : state) {
    layer_norm<float>(isa, in, weight, bias, 1e-5F, out);
    benchmark::ClobberMemory();
  }
  state.SetItemsProcessed(state.iterations() * rows * cols);
}

std::string kind_of(Precision precision) { return precision == Precision::full ? "float" : "bf16"; }

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
  for (const Precision precision : {Precision::full, Precision::bf16}) {
    for (const bench::ReferenceProduct& library : bench::reference_products(precision)) {
      for (const Shape& s : shapes) {
        add("product/" + kind_of(precision) + "/" + s.name + "/library:" + library.name,
            [=](benchmark::State& state) { reference(state, library, precision, s.m, s.n, s.p); });
      }
    }
  }
  for (const auto& [isa_name, isa] : isa_names) {
    if (!is_supported(isa)) continue;
    const std::string suffix = "/isa:" + std::string(isa_name);
    for (const Precision precision : {Precision::full, Precision::bf16}) {
      if (precision == Precision::bf16 && isa == Isa::eigen) continue;  // the reference, not meant to be fast
      const std::string kind = kind_of(precision);
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
    for (const auto& [form_name, form] : {std::pair{"exact", Gelu::exact}, std::pair{"tanh", Gelu::tanh}}) {
      const std::string shape = std::string(form_name) + "/96x2048" + suffix;
      add("gelu/" + shape,
          [isa = isa, form = form](benchmark::State& state) { activation(state, isa, form, 96, 2048); });
      add("gelu_gradient/" + shape,
          [isa = isa, form = form](benchmark::State& state) { activation_gradient(state, isa, form, 96, 2048); });
    }
    add("layer_norm/96x512" + suffix, [isa = isa](benchmark::State& state) { normalisation(state, isa, 96, 512); });
    add("transpose/512x512" + suffix, [isa = isa](benchmark::State& state) { transposition(state, isa, 512, 512); });
    add("round_to_bf16/512x96" + suffix, [isa = isa](benchmark::State& state) { rounding(state, isa, 512, 96); });
  }
}

void measure_all(const bench::Flags& /*flags*/) {
  float_peak = bench::multiply_add_peak<float>();
  benchmark::AddCustomContext("peak_gflops_one_core", std::to_string(float_peak / 1e9));
  bf16_peak = bench::bf16_multiply_add_peak();
  if (bf16_peak > 0) {
    benchmark::AddCustomContext("peak_bf16_gflops_one_core", std::to_string(bf16_peak / 1e9));
  } else {
    bf16_peak = float_peak;  // what is of bfloat16 is multiplied as float there
  }
  benchmark::AddCustomContext("default_isa", std::string(name_of(default_isa())));
  register_all();
  benchmark::RunSpecifiedBenchmarks();
}

}  // namespace

int main(int argc, char** argv) { return bench::run_program(argc, argv, {}, benchmark::PrintDefaultHelp, measure_all); }
