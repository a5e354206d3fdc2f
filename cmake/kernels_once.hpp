#pragma once

// What every source of a program includes whose kernels are compiled in kernels_once.cpp alone.

#include <linformer/kernels/vector_kernels.hpp>

#if LINFORMER_HAS_VECTOR_KERNELS
extern template const linformer::detail::VectorKernels& linformer::detail::vector_kernels<>(linformer::Isa);
#endif
