// The vector kernels, written once and compiled for each instruction set: vector_kernels.hpp includes this file inside
// a namespace of its own and a region of functions that target the set. `LINFORMER_LANES` floats make a vector; a tile
// of a product keeps `LINFORMER_TILE_ROWS` × 3 of them in registers while it walks `LINFORMER_TILE_DEPTH` rows of its
// operands. Nothing of std:: or Eigen may be called here: an inline function of theirs would be compiled for this set
// and could be linked into code for every processor.

#include <linformer/kernels/vector/lanes.inl>
// What is built on it, and built on in turn:
#include <linformer/kernels/vector/columns.inl>
#include <linformer/kernels/vector/exponential.inl>
// The rest:
#include <linformer/kernels/vector/dropout.inl>
#include <linformer/kernels/vector/gelu.inl>
#include <linformer/kernels/vector/layer_norm.inl>
#include <linformer/kernels/vector/pair_rows.inl>
#include <linformer/kernels/vector/product.inl>
#include <linformer/kernels/vector/softmax.inl>
#include <linformer/kernels/vector/transpose.inl>

inline constexpr detail::VectorKernels kernels{.product = product,
                                               .product_of_pairs = product_of_pairs,
                                               .pair_rows = pair_rows,
                                               .transpose = transpose,
                                               .absorb_scores = absorb_scores,
                                               .scale_columns = scale_columns,
                                               .add_compensated = add_compensated,
                                               .softmax_gradient = softmax_gradient,
                                               .drop_queries = drop_queries,
                                               .drop_rows = drop_rows,
                                               .gelu = gelu,
                                               .gelu_tanh = gelu_tanh,
                                               .gelu_gradient = gelu_gradient,
                                               .gelu_tanh_gradient = gelu_tanh_gradient,
                                               .layer_norm = layer_norm,
                                               .layer_norm_gradient = layer_norm_gradient};
