#pragma once

#include <linformer/kernels/isa.hpp>
#include <linformer/kernels/product_terms.hpp>

// The kernels of vector/. On x86-64 they are compiled once for each instruction set by regions of target attributes, so
// that no flag is needed and the processor decides at run time; AArch64 has one set, which every processor of it runs.
// Where the compiler knows no such region there are none.

#if (defined(__x86_64__) || defined(__aarch64__)) && defined(__GNUC__) && defined(__has_builtin)
#if __has_builtin(__builtin_shufflevector)  // GCC from 12 on, Clang
#define LINFORMER_HAS_VECTOR_KERNELS 1
#endif
#endif
#ifndef LINFORMER_HAS_VECTOR_KERNELS
#define LINFORMER_HAS_VECTOR_KERNELS 0
#endif

#if LINFORMER_HAS_VECTOR_KERNELS

#ifdef __x86_64__
#include <immintrin.h>
#else
#include <arm_neon.h>
#endif

namespace linformer::inline LINFORMER_ABI::detail {

/// Columns that lie side by side where an operand comes in panels: what a register tile reads, or twice that.
inline constexpr Index panel_columns = 8;

/// The kernels of one instruction set: what each does is said where it is called or defined. Rows and columns of a
/// matrix come before it, its stride behind it.
struct VectorKernels {
  using Product = void(Index m, Index n, Index depth, const float* a, Index a_stride, Index a_panel_stride,
                       const float* b, Index b_stride, float* c, Index c_stride, const ProductTerms<float>& terms);
  using Rearrange = void(Index rows, Index columns, const float* in, Index in_stride, float* out, Index out_stride);
  using Activation = void(Index rows, Index columns, float* values, Index stride);
  using ActivationGradient = void(Index rows, Index columns, const float* x, Index x_stride, float* gradient,
                                  Index gradient_stride);

  Product *product, *product_of_pairs;
  Rearrange *pair_rows, *transpose;
  void (*absorb_scores)(Index keys, Index queries, float* scores, Index stride, float* maxima, float* sums,
                        float* kept);
  void (*scale_columns)(Index rows, Index columns, float* m, Index stride, const float* factors);
  void (*add_compensated)(Index count, float* sum, float* error, const float* part);
  void (*softmax_gradient)(Index keys, Index queries, const float* p, Index p_stride, float* gradient,
                           Index gradient_stride, float* sums);
  void (*drop_queries)(Index keys, Index queries, float* weights, Index stride, unsigned first_position,
                       unsigned first_column, unsigned key0, unsigned key1, unsigned threshold, float scale);
  void (*drop_rows)(Index rows, Index columns, float* values, Index stride, unsigned first_position, unsigned key0,
                    unsigned key1, unsigned threshold, float scale);
  Activation *gelu, *gelu_tanh;
  ActivationGradient *gelu_gradient, *gelu_tanh_gradient;
  void (*layer_norm)(Index rows, Index columns, const float* x, Index x_stride, const float* weight, const float* bias,
                     float epsilon, float* y, Index y_stride, float* means, float* reciprocals);
  void (*layer_norm_gradient)(Index rows, Index columns, const float* x, Index x_stride, const float* weight,
                              const float* means, const float* reciprocals, float* gradient, Index gradient_stride,
                              float* weight_gradient, float* bias_gradient);
};

}  // namespace linformer::inline LINFORMER_ABI::detail

#ifdef __x86_64__

#define LINFORMER_VECTOR_REGISTER "+v"

namespace linformer::inline LINFORMER_ABI::avx2 {

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,fma")
#endif
#define LINFORMER_LANES 8
#define LINFORMER_TILE_ROWS 4
#define LINFORMER_TILE_DEPTH 64
#define LINFORMER_MULTIPLY_ADD(a, b, c) _mm256_fmadd_ps(a, b, c)
#define LINFORMER_MULTIPLY_EVEN(a, b) \
  __builtin_bit_cast(WideLanes, _mm256_mul_epu32(__builtin_bit_cast(__m256i, a), __builtin_bit_cast(__m256i, b)))
#include <linformer/kernels/vector/kernels.inl>
#undef LINFORMER_LANES
#undef LINFORMER_TILE_ROWS
#undef LINFORMER_TILE_DEPTH
#undef LINFORMER_MULTIPLY_ADD
#undef LINFORMER_MULTIPLY_EVEN
#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

}  // namespace linformer::inline LINFORMER_ABI::avx2

// The two of AVX-512 differ in the instruction for pairs of bf16 alone.
#define LINFORMER_LANES 16
#define LINFORMER_TILE_ROWS 8
#define LINFORMER_TILE_DEPTH 256
#define LINFORMER_MULTIPLY_ADD(a, b, c) _mm512_fmadd_ps(a, b, c)
// Of all lanes: GCC 12 warns of the form without a mask.
#define LINFORMER_MULTIPLY_EVEN(a, b)                                                                              \
  __builtin_bit_cast(WideLanes, _mm512_maskz_mul_epu32(static_cast<__mmask8>(255), __builtin_bit_cast(__m512i, a), \
                                                       __builtin_bit_cast(__m512i, b)))

namespace linformer::inline LINFORMER_ABI::avx512 {

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma"))), \
                             apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")
#endif
#include <linformer/kernels/vector/kernels.inl>
#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

}  // namespace linformer::inline LINFORMER_ABI::avx512

namespace linformer::inline LINFORMER_ABI::avx512_bf16 {

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx512bf16,avx512f,avx512bw,avx512dq,avx512vl,avx2,fma"))), \
                             apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx512bf16,avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")
#endif
#define LINFORMER_MULTIPLY_ADD_PAIRS(a, b, c) \
  _mm512_dpbf16_ps(c, __builtin_bit_cast(__m512bh, a), __builtin_bit_cast(__m512bh, b))
#include <linformer/kernels/vector/kernels.inl>
#undef LINFORMER_MULTIPLY_ADD_PAIRS
#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

}  // namespace linformer::inline LINFORMER_ABI::avx512_bf16

// Of AMX there is a product of pairs of bf16 alone.
namespace linformer::inline LINFORMER_ABI::amx_bf16 {

using namespace avx512_bf16;

#if defined(__clang__)
#pragma clang attribute push(                                                                            \
    __attribute__((target("amx-tile,amx-bf16,avx512bf16,avx512f,avx512bw,avx512dq,avx512vl,avx2,fma"))), \
    apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("amx-tile,amx-bf16,avx512bf16,avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")
#endif
#include <linformer/kernels/vector/amx_product.inl>
#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

inline constexpr detail::VectorKernels kernels = [] {
  detail::VectorKernels result = avx512_bf16::kernels;
  result.product_of_pairs = product_of_pairs;
  return result;
}();

}  // namespace linformer::inline LINFORMER_ABI::amx_bf16

#undef LINFORMER_LANES
#undef LINFORMER_TILE_ROWS
#undef LINFORMER_TILE_DEPTH
#undef LINFORMER_MULTIPLY_ADD
#undef LINFORMER_MULTIPLY_EVEN
#undef LINFORMER_VECTOR_REGISTER

#else  // AArch64

namespace linformer::inline LINFORMER_ABI::neon {

#define LINFORMER_LANES 4
#define LINFORMER_TILE_ROWS 8  // of 32 registers
#define LINFORMER_TILE_DEPTH 256
#define LINFORMER_VECTOR_REGISTER "+w"
#define LINFORMER_MULTIPLY_ADD(a, b, c)                                                                       \
  __builtin_bit_cast(Lanes, vfmaq_f32(__builtin_bit_cast(float32x4_t, c), __builtin_bit_cast(float32x4_t, a), \
                                      __builtin_bit_cast(float32x4_t, b)))
#define LINFORMER_MULTIPLY_EVEN(a, b)                                                   \
  __builtin_bit_cast(WideLanes, vmull_u32(vmovn_u64(__builtin_bit_cast(uint64x2_t, a)), \
                                          vmovn_u64(__builtin_bit_cast(uint64x2_t, b))))
#include <linformer/kernels/vector/kernels.inl>
#undef LINFORMER_LANES
#undef LINFORMER_TILE_ROWS
#undef LINFORMER_TILE_DEPTH
#undef LINFORMER_VECTOR_REGISTER
#undef LINFORMER_MULTIPLY_ADD
#undef LINFORMER_MULTIPLY_EVEN

}  // namespace linformer::inline LINFORMER_ABI::neon

#endif

namespace linformer::inline LINFORMER_ABI::detail {

/// The kernels of a path other than Isa::eigen. A template, so that a program of many sources can compile them in one:
/// `extern template const VectorKernels& vector_kernels<>(Isa)` in the others.
template <class = void>
[[nodiscard]] const VectorKernels& vector_kernels([[maybe_unused]] Isa isa) {
#ifdef __x86_64__
  static constexpr const VectorKernels* kernels[] = {&avx2::kernels, &avx512::kernels, &avx512_bf16::kernels,
                                                     &amx_bf16::kernels};
  return *kernels[static_cast<int>(isa) - static_cast<int>(Isa::avx2)];
#else
  return neon::kernels;
#endif
}

}  // namespace linformer::inline LINFORMER_ABI::detail

#endif
