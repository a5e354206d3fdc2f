#pragma once

// Included by every source of a program that `linformer_compile_once` was told of: what is listed here is compiled in
// compiled_once.cpp alone.

#include <linformer/attention/attention_backward.hpp>
#include <linformer/linformer.hpp>

#define LINFORMER_COMPILED_ONCE_FOR(INSTANTIATE, T)                                                                  \
  INSTANTIATE void multiply<T>(Isa, const Operand<T>&, const Operand<T>&, MatrixRef<T>, const ProductTerms<T>&);     \
  INSTANTIATE void absorb_scores<T>(Isa, MatrixRef<T>, MatrixRef<T>, MatrixRef<T>, MatrixRef<T>);                    \
  INSTANTIATE void accumulate_context<T>(const TransposedWeights<T>&, const ContextStreams<T>&, Index,               \
                                         const Positions&, const ConstMatrixRef<T>&, ProjectedContext<T>&,           \
                                         const Execution&);                                                          \
  INSTANTIATE void merge_contexts<T>(std::span<ProjectedContext<T>>, const WorldView&, Workspace&);                  \
  INSTANTIATE void finish_context<T>(const TransposedWeights<T>&, const LayerProjections<T>&,                        \
                                     const ContextStreams<T>&, const ProjectedContext<T>&, Index, KeysValues<T>&,    \
                                     const Execution&);                                                              \
  INSTANTIATE void attend_queries<T>(const TransposedWeights<T>&, const KeysValues<T>&, const Positions&,            \
                                     const ConstMatrixRef<T>&, MatrixRef<T>, const WeightsRequest<T>&,               \
                                     const Execution&);                                                              \
  INSTANTIATE void attend_materialised<T>(const TransposedWeights<T>&, const KeysValues<T>&, const Positions&,       \
                                          const ConstMatrixRef<T>&, MatrixRef<T>, const WeightsRequest<T>&,          \
                                          const Execution&);                                                         \
  INSTANTIATE void keys_values_of_tokens<T>(const TransposedWeights<T>&, const ConstMatrixRef<T>&, const Positions&, \
                                            Index, Index, KeysValues<T>&, const Execution&);                         \
  INSTANTIATE void attention_backward<T>(                                                                            \
      const AttentionBlock<T>&, const LayerProjections<T>&, const AttentionCall<T>&, const ConstMatrixRef<T>&,       \
      MatrixRef<T>, MatrixRef<T>, AttentionBlock<T>&, const LayerProjectionGradients<T>&, const Execution&);

#if LINFORMER_HAS_VECTOR_KERNELS
#define LINFORMER_COMPILED_ONCE_KERNELS(INSTANTIATE)      \
  namespace detail {                                      \
  INSTANTIATE const VectorKernels& vector_kernels<>(Isa); \
  }
#else
#define LINFORMER_COMPILED_ONCE_KERNELS(INSTANTIATE)
#endif
#define LINFORMER_COMPILED_ONCE(INSTANTIATE)       \
  namespace linformer::inline LINFORMER_ABI {      \
  LINFORMER_COMPILED_ONCE_KERNELS(INSTANTIATE)     \
  LINFORMER_COMPILED_ONCE_FOR(INSTANTIATE, float)  \
  LINFORMER_COMPILED_ONCE_FOR(INSTANTIATE, double) \
  }

LINFORMER_COMPILED_ONCE(extern template)
