#pragma once

#include <linformer/kernels/isa.hpp>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <latch>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#if defined(__GNUC__) && (defined(__x86_64__) || defined(__i386__))
#define LINFORMER_BENCH_X86
#include <immintrin.h>
#endif

// The most multiply-adds that cores of this machine execute, whatever -march this file is compiled with: what a
// benchmark reports is a fraction of this, measured in the same run.

namespace linformer::bench {

namespace detail {

/// Defines `double name(long rounds, Scalar half)`: a round is 12 independent s ← s·½ + ½ on vectors that stay in
/// registers, more than latency × units of today's cores. They start apart, else a compiler would keep only one.
#define LINFORMER_BENCH_PEAK(name, attributes, Scalar, Vector, broadcast, multiply_add)          \
  attributes inline double name(long rounds, Scalar half) {                                      \
    const Vector h = broadcast(half);                                                            \
    Vector s0 = broadcast(Scalar(0)), s1 = broadcast(Scalar(2)), s2 = broadcast(Scalar(3));      \
    Vector s3 = broadcast(Scalar(4)), s4 = broadcast(Scalar(5)), s5 = broadcast(Scalar(6));      \
    Vector s6 = broadcast(Scalar(7)), s7 = broadcast(Scalar(8)), s8 = broadcast(Scalar(9));      \
    Vector s9 = broadcast(Scalar(10)), s10 = broadcast(Scalar(11)), s11 = broadcast(Scalar(12)); \
    for (long round = 0; round < rounds; ++round) {                                              \
      s0 = multiply_add(s0, h, h), s1 = multiply_add(s1, h, h), s2 = multiply_add(s2, h, h);     \
      s3 = multiply_add(s3, h, h), s4 = multiply_add(s4, h, h), s5 = multiply_add(s5, h, h);     \
      s6 = multiply_add(s6, h, h), s7 = multiply_add(s7, h, h), s8 = multiply_add(s8, h, h);     \
      s9 = multiply_add(s9, h, h), s10 = multiply_add(s10, h, h), s11 = multiply_add(s11, h, h); \
    }                                                                                            \
    const Vector sum = s0 + s1 + s2 + s3 + s4 + s5 + s6 + s7 + s8 + s9 + s10 + s11;              \
    Scalar first;                                                                                \
    std::memcpy(&first, &sum, sizeof first);                                                     \
    return static_cast<double>(first);                                                           \
  }

inline constexpr std::size_t peak_chains = 12;

#ifdef LINFORMER_BENCH_X86
#define LINFORMER_BENCH_AVX512 __attribute__((noinline, target("avx512f")))
#define LINFORMER_BENCH_AVX2 __attribute__((noinline, target("avx2,fma")))
LINFORMER_BENCH_PEAK(peak_avx512, LINFORMER_BENCH_AVX512, float, __m512, _mm512_set1_ps, _mm512_fmadd_ps)
LINFORMER_BENCH_PEAK(peak_avx512, LINFORMER_BENCH_AVX512, double, __m512d, _mm512_set1_pd, _mm512_fmadd_pd)
LINFORMER_BENCH_PEAK(peak_avx2, LINFORMER_BENCH_AVX2, float, __m256, _mm256_set1_ps, _mm256_fmadd_ps)
LINFORMER_BENCH_PEAK(peak_avx2, LINFORMER_BENCH_AVX2, double, __m256d, _mm256_set1_pd, _mm256_fmadd_pd)
#undef LINFORMER_BENCH_AVX512
#undef LINFORMER_BENCH_AVX2

/// s ← s + ½·½ of pairs of bfloat16, an instruction that takes longer: 12 of them do not occupy a core that starts two
/// at a time.
template <std::size_t... chain>
__attribute__((noinline, target("avx512f,avx512bf16"))) double peak_avx512_bf16(long rounds, float half,
                                                                                std::index_sequence<chain...>) {
  const auto h = (__m512bh)_mm512_set1_ps(half);
  __m512 s[] = {_mm512_set1_ps(static_cast<float>(chain))...};
  for (long round = 0; round < rounds; ++round) ((s[chain] = _mm512_dpbf16_ps(s[chain], h, h)), ...);
  const __m512 sum = (s[chain] + ...);
  float first;
  std::memcpy(&first, &sum, sizeof first);
  return static_cast<double>(first);
}
inline constexpr std::size_t bf16_peak_chains = 20;

#ifdef __x86_64__
inline constexpr std::size_t amx_peak_multiply_adds = 6 * 16 * 16 * 32;

/// The same of AMX: six tiles of 16 × 16 sums, to each of which one instruction adds 16 × 32 by 32 × 16.
__attribute__((noinline, target("avx512f,amx-tile,amx-bf16"))) inline double peak_amx(long rounds, float half) {
  struct alignas(64) Config {
    unsigned char palette = 1, start_row = 0, reserved[14] = {};
    unsigned short bytes_per_row[16] = {64, 64, 64, 64, 64, 64, 64, 64};
    unsigned char rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
  };
  static constexpr Config config;
  const __m512 row = _mm512_set1_ps(half);  // the upper half of each word is ½, the lower 0
  _tile_loadconfig(&config);                // which sets all tiles to zero
  asm volatile("" ::"m"(row));              // in memory before it is loaded
  _tile_loadd(6, &row, 0);
  _tile_loadd(7, &row, 0);
  for (long round = 0; round < rounds; ++round) {
    _tile_dpbf16ps(0, 6, 7);
    _tile_dpbf16ps(1, 6, 7);
    _tile_dpbf16ps(2, 6, 7);
    _tile_dpbf16ps(3, 6, 7);
    _tile_dpbf16ps(4, 6, 7);
    _tile_dpbf16ps(5, 6, 7);
  }
  _tile_release();
  return 0;
}
#endif
#endif

// Anywhere else: the vectors that GCC and Clang offer on every processor, or scalars.
#ifdef __GNUC__
#define LINFORMER_BENCH_PLAIN __attribute__((noinline))
typedef float FloatVector __attribute__((vector_size(16)));
typedef double DoubleVector __attribute__((vector_size(16)));
#else
#define LINFORMER_BENCH_PLAIN
using FloatVector = float;
using DoubleVector = double;
#endif
#define LINFORMER_BENCH_BROADCAST_FLOAT(x) (FloatVector{} + (x))
#define LINFORMER_BENCH_BROADCAST_DOUBLE(x) (DoubleVector{} + (x))
#define LINFORMER_BENCH_MULTIPLY_ADD(a, b, c) ((a) * (b) + (c))
LINFORMER_BENCH_PEAK(peak_plain, LINFORMER_BENCH_PLAIN, float, FloatVector, LINFORMER_BENCH_BROADCAST_FLOAT,
                     LINFORMER_BENCH_MULTIPLY_ADD)
LINFORMER_BENCH_PEAK(peak_plain, LINFORMER_BENCH_PLAIN, double, DoubleVector, LINFORMER_BENCH_BROADCAST_DOUBLE,
                     LINFORMER_BENCH_MULTIPLY_ADD)
#undef LINFORMER_BENCH_PLAIN
#undef LINFORMER_BENCH_BROADCAST_FLOAT
#undef LINFORMER_BENCH_BROADCAST_DOUBLE
#undef LINFORMER_BENCH_MULTIPLY_ADD
#undef LINFORMER_BENCH_PEAK

template <class T>
struct PeakKernel {
  double (*run)(long rounds, T half);
  std::size_t multiply_adds;  ///< of a round
  double operations = 4e8;    ///< that take a few milliseconds, a multiply-add counted as two
};

/// Those that this processor can execute.
template <class T>
[[nodiscard]] std::vector<PeakKernel<T>> peak_kernels() {
  using Plain = std::conditional_t<sizeof(T) == sizeof(float), FloatVector, DoubleVector>;
  std::vector<PeakKernel<T>> kernels{{peak_plain, peak_chains * sizeof(Plain) / sizeof(T)}};
#ifdef LINFORMER_BENCH_X86
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
    kernels.push_back({peak_avx2, peak_chains * 32 / sizeof(T)});
  }
  if (__builtin_cpu_supports("avx512f")) kernels.push_back({peak_avx512, peak_chains * 64 / sizeof(T)});
#endif
  return kernels;
}

/// Operations per second of `threads` threads that run the kernel at the same time, once, for a few milliseconds.
template <class T>
[[nodiscard]] double multiply_add_rate(const PeakKernel<T>& kernel, int threads) {
  using Clock = std::chrono::steady_clock;
  const double per_round = 2.0 * static_cast<double>(kernel.multiply_adds);
  const auto rounds = static_cast<long>(kernel.operations / per_round);
  const auto count = static_cast<std::size_t>(threads);
  std::vector<Clock::time_point> begin(count), end(count);
  std::latch start(threads);
  const auto work = [&](std::size_t thread) {
    start.arrive_and_wait();
    begin[thread] = Clock::now();
    volatile double sink = kernel.run(rounds, T(0.5));
    static_cast<void>(sink);
    end[thread] = Clock::now();
  };
  std::vector<std::thread> others;
  for (std::size_t thread = 1; thread < count; ++thread) others.emplace_back(work, thread);
  work(0);
  for (std::thread& other : others) other.join();
  const std::chrono::duration<double> seconds =
      *std::max_element(end.begin(), end.end()) - *std::min_element(begin.begin(), begin.end());
  return static_cast<double>(rounds) * per_round * threads / seconds.count();
}

/// The best of several short repetitions of the best kernel, 0 without one.
template <class T>
[[nodiscard]] double best_rate(const std::vector<PeakKernel<T>>& kernels, int threads, int repetitions) {
  double best = 0;
  for (const auto& kernel : kernels) {
    for (int repetition = 0; repetition < repetitions; ++repetition) {
      best = std::max(best, multiply_add_rate(kernel, threads));
    }
  }
  return best;
}

}  // namespace detail

/// Operations per second, a multiply-add counted as two: the best of several short repetitions of the best kernel.
/// Where the fallback alone can run (no AVX2, no x86), it is the peak of plain 128-bit code.
template <class T>
[[nodiscard]] double multiply_add_peak(int threads = 1, int repetitions = 12) {
  return detail::best_rate(detail::peak_kernels<T>(), threads, repetitions);
}

/// The same of products of bfloat16 summed in float: of AVX-512 BF16 or AMX, 0 where the processor lacks both.
[[nodiscard]] inline double bf16_multiply_add_peak(int threads = 1, int repetitions = 12) {
  std::vector<detail::PeakKernel<float>> kernels;
#ifdef LINFORMER_BENCH_X86
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bf16")) {
    const auto run = [](long rounds, float half) {
      return detail::peak_avx512_bf16(rounds, half, std::make_index_sequence<detail::bf16_peak_chains>());
    };
    kernels.push_back({run, detail::bf16_peak_chains * 32});
  }
#ifdef __x86_64__
  if (is_supported(Isa::amx_bf16)) kernels.push_back({detail::peak_amx, detail::amx_peak_multiply_adds, 4e9});
#endif
#endif
  return detail::best_rate(kernels, threads, repetitions);
}

}  // namespace linformer::bench
