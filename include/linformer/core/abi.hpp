#pragma once

#include <Eigen/Core>

// Every name of the library lives in `linformer::inline LINFORMER_ABI`, a namespace that spells Eigen's version, its
// alignment and the vector instruction set of the translation unit. Objects whose alignment or vectors differ therefore
// do not share inline functions by accident, and passing a type of ours between them fails to link instead of crashing;
// objects of two processors with the same vectors (haswell, znver3) are taken for the same.
// Eigen's own inline functions carry no such tag and are outside our power.

#if defined(__AVX512F__)
#define LINFORMER_ABI_ISA avx512
#elif defined(__AVX2__) && defined(__FMA__)
#define LINFORMER_ABI_ISA avx2_fma
#elif defined(__AVX2__)
#define LINFORMER_ABI_ISA avx2
#elif defined(__AVX__) && defined(__FMA__)
#define LINFORMER_ABI_ISA avx_fma
#elif defined(__AVX__)
#define LINFORMER_ABI_ISA avx
#elif defined(__SSE4_2__)
#define LINFORMER_ABI_ISA sse42
#else
#define LINFORMER_ABI_ISA base
#endif

#if EIGEN_MAX_ALIGN_BYTES >= 64
#define LINFORMER_ABI_ALIGNMENT align64
#elif EIGEN_MAX_ALIGN_BYTES >= 32
#define LINFORMER_ABI_ALIGNMENT align32
#elif EIGEN_MAX_ALIGN_BYTES >= 16
#define LINFORMER_ABI_ALIGNMENT align16
#else
#define LINFORMER_ABI_ALIGNMENT unaligned
#endif

#if EIGEN_MAJOR_VERSION >= 5
#define LINFORMER_ABI_EIGEN eigen5
#else
#define LINFORMER_ABI_EIGEN eigen3
#endif

#define LINFORMER_ABI_PASTE(eigen, alignment, isa) v0_##eigen##_##alignment##_##isa
#define LINFORMER_ABI_EXPAND(eigen, alignment, isa) LINFORMER_ABI_PASTE(eigen, alignment, isa)
#define LINFORMER_ABI LINFORMER_ABI_EXPAND(LINFORMER_ABI_EIGEN, LINFORMER_ABI_ALIGNMENT, LINFORMER_ABI_ISA)
