typedef float Eight __attribute__((vector_size(32)));
typedef float EightInMemory __attribute__((vector_size(32), aligned(4), may_alias));

/// An 8 × 8 block of a transpose: neighbours, then pairs, then halves of rows change places.
inline void transpose_block(const float* in, Index in_stride, float* out, Index out_stride) {
  Eight row[8], pair[8];
#pragma GCC unroll 8
  for (int i = 0; i < 8; ++i) row[i] = *reinterpret_cast<const EightInMemory*>(in + i * in_stride);
#pragma GCC unroll 4
  for (int i = 0; i < 8; i += 2) {
    pair[i] = __builtin_shufflevector(row[i], row[i + 1], 0, 8, 1, 9, 4, 12, 5, 13);
    pair[i + 1] = __builtin_shufflevector(row[i], row[i + 1], 2, 10, 3, 11, 6, 14, 7, 15);
  }
#pragma GCC unroll 2
  for (int i = 0; i < 8; i += 4) {
#pragma GCC unroll 2
    for (int j = 0; j < 2; ++j) {
      row[i + 2 * j] = __builtin_shufflevector(pair[i + j], pair[i + j + 2], 0, 1, 8, 9, 4, 5, 12, 13);
      row[i + 2 * j + 1] = __builtin_shufflevector(pair[i + j], pair[i + j + 2], 2, 3, 10, 11, 6, 7, 14, 15);
    }
  }
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    *reinterpret_cast<EightInMemory*>(out + i * out_stride) =
        __builtin_shufflevector(row[i], row[i + 4], 0, 1, 2, 3, 8, 9, 10, 11);
    *reinterpret_cast<EightInMemory*>(out + (i + 4) * out_stride) =
        __builtin_shufflevector(row[i], row[i + 4], 4, 5, 6, 7, 12, 13, 14, 15);
  }
}

/// out (columns × rows) = inᵀ.
inline void transpose(Index rows, Index columns, const float* in, Index in_stride, float* out, Index out_stride) {
  for (Index i = 0; i < rows; i += 8) {
    for (Index j = 0; j < columns; j += 8) {
      if (i + 8 <= rows && j + 8 <= columns) {
        transpose_block(in + i * in_stride + j, in_stride, out + j * out_stride + i, out_stride);
        continue;
      }
      for (Index s = i; s < rows && s < i + 8; ++s) {
        for (Index t = j; t < columns && t < j + 8; ++t) out[t * out_stride + s] = in[s * in_stride + t];
      }
    }
  }
}
