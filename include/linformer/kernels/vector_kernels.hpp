#pragma once

#include <linformer/core/error.hpp>

// The kernels of vector_code.inl, compiled once for each instruction set by regions of target attributes, so that no
// flag is needed and the processor decides at run time. Where the compiler knows no such region there are none.

#if defined(__x86_64__) && defined(__GNUC__)
#define LINFORMER_HAS_VECTOR_KERNELS 1

namespace linformer::inline LINFORMER_ABI::avx512 {

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma"))), \
                             apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")
#endif
#define LINFORMER_LANES 16
#define LINFORMER_TILE_ROWS 8
#include <linformer/kernels/vector_code.inl>
#undef LINFORMER_LANES
#undef LINFORMER_TILE_ROWS
#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

}  // namespace linformer::inline LINFORMER_ABI::avx512

namespace linformer::inline LINFORMER_ABI::avx2 {

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,fma")
#endif
#define LINFORMER_LANES 8
#define LINFORMER_TILE_ROWS 4
#include <linformer/kernels/vector_code.inl>
#undef LINFORMER_LANES
#undef LINFORMER_TILE_ROWS
#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

}  // namespace linformer::inline LINFORMER_ABI::avx2

#else
#define LINFORMER_HAS_VECTOR_KERNELS 0
#endif
