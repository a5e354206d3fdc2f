#include "kernels_once.hpp"

#if LINFORMER_HAS_VECTOR_KERNELS
template const linformer::detail::VectorKernels& linformer::detail::vector_kernels<>(linformer::Isa);
#endif
