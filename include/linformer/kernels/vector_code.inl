// The vector kernels, written once and compiled for each instruction set: vector_kernels.hpp includes this file inside
// a namespace of its own and a region of functions that target the set. `LINFORMER_LANES` floats make a vector; a tile
// of a product keeps `LINFORMER_TILE_ROWS` × 3 of them in registers while it walks `LINFORMER_TILE_DEPTH` rows of its
// operands. Nothing of std:: or Eigen may be called here: an inline function of theirs would be compiled for this set
// and could be linked into code for every processor.

// Vectors in memory of any alignment; they may alias floats.
typedef float Lanes __attribute__((vector_size(LINFORMER_LANES * 4)));
typedef float LanesInMemory __attribute__((vector_size(LINFORMER_LANES * 4), aligned(4), may_alias));
typedef int IntegerLanes __attribute__((vector_size(LINFORMER_LANES * 4)));
typedef unsigned UnsignedLanes __attribute__((vector_size(LINFORMER_LANES * 4)));

constexpr Index lanes = LINFORMER_LANES;
constexpr Index tile_rows = LINFORMER_TILE_ROWS;
constexpr Index tile_columns = 3 * LINFORMER_LANES;
constexpr Index tile_depth = LINFORMER_TILE_DEPTH;  // what a tile reads of b stays in the first-level cache

inline Lanes broadcast(float value) { return value - Lanes{}; }
inline Lanes load(const float* from) { return *reinterpret_cast<const LanesInMemory*>(from); }
inline void store(float* to, Lanes value) { *reinterpret_cast<LanesInMemory*>(to) = value; }
/// Keeps a value in a register. GCC, where it compiles for AMD's processors, would load it again for each use.
inline Lanes in_register(Lanes value) {
  asm("" : "+v"(value));  // NOLINT(hicpp-no-assembler)
  return value;
}
/// a·b + c, rounded once. Not written as such: GCC would split it in two where it compiles for AMD's processors.
inline Lanes multiply_add(Lanes a, Lanes b, Lanes c) { return LINFORMER_MULTIPLY_ADD(a, b, c); }

/// What the words of an operand are: floats.
struct Single {
  static constexpr int parts = 1;
  static inline Lanes part(Lanes words, int /*which*/) { return words; }
  static inline Lanes multiply_add_part(Lanes a, Lanes b, Lanes c) { return multiply_add(a, b, c); }
};

/// What the words of an operand are: two bf16 of neighbouring rows, the first in the lower half.
struct PairOfBf16 {
#ifdef LINFORMER_MULTIPLY_ADD_PAIRS
  static constexpr int parts = 1;
  static inline Lanes part(Lanes words, int /*which*/) { return words; }
  static inline Lanes multiply_add_part(Lanes a, Lanes b, Lanes c) { return LINFORMER_MULTIPLY_ADD_PAIRS(a, b, c); }
#else
  static constexpr int parts = 2;
  static inline Lanes part(Lanes words, int which) {
    const IntegerLanes bits = __builtin_bit_cast(IntegerLanes, words);
    return __builtin_bit_cast(Lanes, which == 0 ? bits << 16 : bits & static_cast<int>(0xFFFF0000));
  }
  static inline Lanes multiply_add_part(Lanes a, Lanes b, Lanes c) { return multiply_add(a, b, c); }
#endif
};

/// c (Rows × Vectors·lanes) = aᵀ·b, or += if `add`: a is depth × Rows, b depth × Vectors·lanes.
template <class Words, int Rows, int Vectors>
inline void product_tile(Index depth, const float* a, Index a_stride, const float* b, Index b_stride, float* c,
                         Index c_stride, bool add) {
  Lanes sums[Rows][Vectors];
#pragma GCC unroll 8
  for (int i = 0; i < Rows; ++i) {
#pragma GCC unroll 3
    for (int j = 0; j < Vectors; ++j) sums[i][j] = Lanes{};
  }
  for (Index p = 0; p < depth; ++p) {
#pragma GCC unroll 2
    for (int which = 0; which < Words::parts; ++which) {
      Lanes row[Vectors];
#pragma GCC unroll 3
      for (int j = 0; j < Vectors; ++j) row[j] = in_register(Words::part(load(b + j * lanes), which));
#pragma GCC unroll 8
      for (int i = 0; i < Rows; ++i) {
        const Lanes factor = Words::part(broadcast(a[i]), which);
#pragma GCC unroll 3
        for (int j = 0; j < Vectors; ++j) sums[i][j] = Words::multiply_add_part(factor, row[j], sums[i][j]);
      }
    }
    a += a_stride;
    b += b_stride;
  }
#pragma GCC unroll 8
  for (int i = 0; i < Rows; ++i) {
#pragma GCC unroll 3
    for (int j = 0; j < Vectors; ++j) {
      float* out = c + i * c_stride + j * lanes;
      store(out, add ? load(out) + sums[i][j] : sums[i][j]);
    }
  }
}

/// The same for all m rows of c.
template <class Words, int Vectors>
inline void product_columns(Index m, Index depth, const float* a, Index a_stride, const float* b, Index b_stride,
                            float* c, Index c_stride, bool add) {
  Index i = 0;
  for (; i + tile_rows <= m; i += tile_rows) {
    product_tile<Words, tile_rows, Vectors>(depth, a + i, a_stride, b, b_stride, c + i * c_stride, c_stride, add);
  }
  if (i + 4 <= m) {
    product_tile<Words, 4, Vectors>(depth, a + i, a_stride, b, b_stride, c + i * c_stride, c_stride, add);
    i += 4;
  }
  for (; i < m; ++i) {
    product_tile<Words, 1, Vectors>(depth, a + i, a_stride, b, b_stride, c + i * c_stride, c_stride, add);
  }
}

/// c (m × n) = aᵀ·b, or += if `add`: a is depth × m, b depth × n, all row-major. Each element is a sum in the order of
/// depth, in blocks of `tile_depth`, wherever it lies in c.
template <class Words>
inline void product_of_rows(Index m, Index n, Index depth, const float* a, Index a_stride, const float* b, Index b_stride,
                       float* c, Index c_stride, bool add) {
  if (depth == 0 && !add) {
    for (Index i = 0; i < m; ++i) {
      for (Index j = 0; j < n; ++j) c[i * c_stride + j] = 0.0F;
    }
  }
  for (Index p = 0; p < depth; p += tile_depth) {
    const Index count = depth - p < tile_depth ? depth - p : tile_depth;
    const float* a_block = a + p * a_stride;
    const float* b_block = b + p * b_stride;
    const bool adds = add || p > 0;
    Index j = 0;
    for (; j + tile_columns <= n; j += tile_columns) {
      product_columns<Words, 3>(m, count, a_block, a_stride, b_block + j, b_stride, c + j, c_stride, adds);
    }
    if (j + 2 * lanes <= n) {
      product_columns<Words, 2>(m, count, a_block, a_stride, b_block + j, b_stride, c + j, c_stride, adds);
      j += 2 * lanes;
    } else if (j + lanes <= n) {
      product_columns<Words, 1>(m, count, a_block, a_stride, b_block + j, b_stride, c + j, c_stride, adds);
      j += lanes;
    }
    if (j == n) continue;
    // The last columns, less than a vector, go through padded copies.
    const Index columns = n - j;
    float panel[tile_depth * LINFORMER_LANES];
    float sums[LINFORMER_TILE_ROWS * LINFORMER_LANES];
    for (Index q = 0; q < count; ++q) {
      for (Index t = 0; t < lanes; ++t) panel[q * lanes + t] = t < columns ? b_block[q * b_stride + j + t] : 0.0F;
    }
    for (Index i = 0; i < m; i += tile_rows) {
      const Index rows = m - i < tile_rows ? m - i : tile_rows;
      product_columns<Words, 1>(rows, count, a_block + i, a_stride, panel, lanes, sums, lanes, false);
      for (Index s = 0; s < rows; ++s) {
        for (Index t = 0; t < columns; ++t) {
          float* out = c + (i + s) * c_stride + j + t;
          *out = adds ? *out + sums[s * lanes + t] : sums[s * lanes + t];
        }
      }
    }
  }
}

/// The same, some rows of c at a time: what a block of depth adds to stays in the second-level cache for the next.
template <class Words>
inline void product_of(Index m, Index n, Index depth, const float* a, Index a_stride, const float* b, Index b_stride,
                       float* c, Index c_stride, bool add) {
  constexpr Index rows = 128;
  for (Index i = 0; i < m; i += rows) {
    product_of_rows<Words>(m - i < rows ? m - i : rows, n, depth, a + i, a_stride, b, b_stride, c + i * c_stride,
                           c_stride, add);
  }
}

/// The product of floats.
inline void product(Index m, Index n, Index depth, const float* a, Index a_stride, const float* b, Index b_stride,
                    float* c, Index c_stride, bool add) {
  product_of<Single>(m, n, depth, a, a_stride, b, b_stride, c, c_stride, add);
}

/// The product of pairs of bf16: `depth` counts pairs.
inline void product_of_pairs(Index m, Index n, Index depth, const float* a, Index a_stride, const float* b,
                             Index b_stride, float* c, Index c_stride, bool add) {
  product_of<PairOfBf16>(m, n, depth, a, a_stride, b, b_stride, c, c_stride, add);
}

/// The nearest bf16, to even, in the lower half of each lane; NaN stays NaN.
inline IntegerLanes to_bf16(Lanes value) {
  const UnsignedLanes bits = __builtin_bit_cast(UnsignedLanes, value);
  const UnsignedLanes rounded = (bits + 0x7FFF + (bits >> 16 & 1)) >> 16;
  const UnsignedLanes quiet = bits >> 16 | 0x40;
  return __builtin_bit_cast(IntegerLanes, value == value ? rounded : quiet);
}

/// out (⌈rows/2⌉ × columns): word (i, j) holds in(2·i, j) and in(2·i + 1, j) as bf16; beyond the last row, zero.
inline void pair_rows(Index rows, Index columns, const float* in, Index in_stride, float* out, Index out_stride) {
  for (Index i = 0; i < rows; i += 2, in += 2 * in_stride, out += out_stride) {
    const bool single = i + 1 == rows;
    Index j = 0;
    for (; j + lanes <= columns; j += lanes) {
      const Lanes second = single ? Lanes{} : load(in + in_stride + j);
      store(out + j, __builtin_bit_cast(Lanes, to_bf16(load(in + j)) | to_bf16(second) << 16));
    }
    for (; j < columns; ++j) {
      const IntegerLanes word = to_bf16(broadcast(in[j])) | to_bf16(broadcast(single ? 0.0F : in[in_stride + j])) << 16;
      out[j] = __builtin_bit_cast(Lanes, word)[0];
    }
  }
}

/// e^x for x ≤ 0, within 2 ULP; 0 below −87.33, where the result is less than 1.01 of the least normal one; NaN for NaN. The polynomial is that
/// of Cephes' expf.
inline Lanes exponential(Lanes x) {
  const Lanes magic = broadcast(12582912.0F);  // 1.5·2²³: adding it rounds to an integer
  const Lanes shifted = multiply_add(x, broadcast(1.44269504088896341F), magic);
  const Lanes whole = shifted - magic;
  Lanes r = multiply_add(whole, broadcast(-0.693359375F), x);
  r = multiply_add(whole, broadcast(2.12194440e-4F), r);
  Lanes y = broadcast(1.9875691500e-4F);
  y = multiply_add(y, r, broadcast(1.3981999507e-3F));
  y = multiply_add(y, r, broadcast(8.3334519073e-3F));
  y = multiply_add(y, r, broadcast(4.1665795894e-2F));
  y = multiply_add(y, r, broadcast(1.6666665459e-1F));
  y = multiply_add(y, r, broadcast(5.0000001201e-1F));
  y = multiply_add(y, r * r, r) + broadcast(1.0F);
  const IntegerLanes exponent = (__builtin_bit_cast(IntegerLanes, shifted) + 127) << 23;
  const Lanes result = y * __builtin_bit_cast(Lanes, exponent);
  return x < broadcast(-87.33F) ? Lanes{} : result;
}

/// One vector of columns of the running softmax: see `absorb_scores`.
inline void absorb_columns(Index keys, float* scores, Index stride, float* maxima, float* sums, float* kept) {
  // Four maxima and two sums at a time, so that one need not wait for the other. A NaN is lost in a maximum and found
  // again by its exponential.
  const Lanes before = load(maxima);
  Lanes largest[4] = {before, before, before, before};
  Index row = 0;
  for (; row + 4 <= keys; row += 4) {
#pragma GCC unroll 4
    for (Index i = 0; i < 4; ++i) {
      const Lanes score = load(scores + (row + i) * stride);
      largest[i] = largest[i] > score ? largest[i] : score;
    }
  }
  for (; row < keys; ++row) {
    const Lanes score = load(scores + row * stride);
    largest[0] = largest[0] > score ? largest[0] : score;
  }
  const Lanes left = largest[0] > largest[1] ? largest[0] : largest[1];
  const Lanes right = largest[2] > largest[3] ? largest[2] : largest[3];
  const Lanes maximum = left > right ? left : right;
  // Where all scores so far are −∞ their weights are 0, not exp(−∞ + ∞).
  const Lanes shift = maximum == broadcast(-__builtin_inff()) ? Lanes{} : maximum;
  const Lanes factor = exponential(before - shift);
  Lanes even = load(sums) * factor, odd{};
  for (row = 0; row + 2 <= keys; row += 2) {
    const Lanes first = exponential(load(scores + row * stride) - shift);
    const Lanes second = exponential(load(scores + (row + 1) * stride) - shift);
    store(scores + row * stride, first);
    store(scores + (row + 1) * stride, second);
    even += first;
    odd += second;
  }
  if (row < keys) {
    const Lanes last = exponential(load(scores + row * stride) - shift);
    store(scores + row * stride, last);
    even += last;
  }
  store(maxima, maximum);
  store(sums, even + odd);
  store(kept, factor);
}

/// Replaces each column of scores (keys × queries) by exp(score − maximum) with the running maximum of its query, adds
/// it to the running sum, and writes by how much what was summed before shrinks. Rows of scores and the three vectors
/// have room for whole vectors of columns.
inline void absorb_scores(Index keys, Index queries, float* scores, Index stride, float* maxima, float* sums,
                          float* kept) {
  for (Index j = 0; j < queries; j += lanes) {
    absorb_columns(keys, scores + j, stride, maxima + j, sums + j, kept + j);
  }
}

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
