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

/// The terms of the part of a result that begins at row i and column j.
inline ProductTerms<float> terms_from(const ProductTerms<float>& terms, Index i, Index j) {
  return {terms.add, terms.kept != nullptr ? terms.kept + j : nullptr,
          terms.row_bias != nullptr ? terms.row_bias + i : nullptr,
          terms.column_bias != nullptr ? terms.column_bias + j : nullptr,
          terms.column_factor != nullptr ? terms.column_factor + j : nullptr};
}

/// The terms of one block of depth, whose sums go to c: the first finds there what c held, the others what those before
/// left.
inline ProductTerms<float> terms_of_block(const ProductTerms<float>& terms, bool first, bool last) {
  return {terms.add || !first, first ? terms.kept : nullptr, last ? terms.row_bias : nullptr,
          last ? terms.column_bias : nullptr, last ? terms.column_factor : nullptr};
}

using detail::panel_columns;

/// Where columns of `a` lie: `panel_columns` of them side by side, the next as many `panel_stride` further on, which is
/// `panel_columns` where rows are as they were.
struct Columns {
  const float* data;
  Index stride;  // from a row to the next
  Index panel_stride;

  /// @param i a multiple of `panel_columns`, or less than that
  Columns from(Index i) const { return {data + i / panel_columns * panel_stride + i % panel_columns, stride, panel_stride}; }
  Columns rows_from(Index p) const { return {data + p * stride, stride, panel_stride}; }
  bool in_panels() const { return panel_stride != panel_columns; }
  /// From what a tile reads to what is wanted soon: the next panel, or of rows the next cache line.
  Index ahead() const { return in_panels() ? panel_stride : 2 * panel_columns; }
};

/// c (Rows × Vectors·lanes) = aᵀ·b and the terms beside it: a is depth × Rows, b depth × Vectors·lanes.
template <class Words, int Rows, int Vectors>
inline void product_tile(Index depth, const Columns& columns, const float* b, Index b_stride, float* c, Index c_stride,
                         const ProductTerms<float>& terms) {
  const float* a = columns.data;
  const Index a_stride = columns.stride, ahead = columns.ahead();
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
    __builtin_prefetch(a + ahead);
    a += a_stride;
    b += b_stride;
  }
#pragma GCC unroll 3
  for (int j = 0; j < Vectors; ++j) {
    const Index column = j * lanes;
    const Lanes kept = terms.kept != nullptr ? load(terms.kept + column) : broadcast(1.0F);
    const Lanes factor = terms.column_factor != nullptr ? load(terms.column_factor + column) : broadcast(1.0F);
    const Lanes column_bias = terms.column_bias != nullptr ? load(terms.column_bias + column) : Lanes{};
#pragma GCC unroll 8
    for (int i = 0; i < Rows; ++i) {
      float* out = c + i * c_stride + column;
      Lanes sum = sums[i][j];
      if (terms.add) sum = multiply_add(load(out), kept, sum);
      if (terms.row_bias != nullptr) sum += broadcast(terms.row_bias[i]);
      store(out, (sum + column_bias) * factor);
    }
  }
}

/// The same for all m rows of c.
template <class Words, int Vectors>
inline void product_columns(Index m, Index depth, const Columns& a, const float* b, Index b_stride, float* c,
                            Index c_stride, const ProductTerms<float>& terms) {
  Index i = 0;
  for (; i + tile_rows <= m; i += tile_rows) {
    product_tile<Words, tile_rows, Vectors>(depth, a.from(i), b, b_stride, c + i * c_stride, c_stride,
                                            terms_from(terms, i, 0));
  }
  if (i + 4 <= m) {
    product_tile<Words, 4, Vectors>(depth, a.from(i), b, b_stride, c + i * c_stride, c_stride,
                                    terms_from(terms, i, 0));
    i += 4;
  }
  for (; i < m; ++i) {
    product_tile<Words, 1, Vectors>(depth, a.from(i), b, b_stride, c + i * c_stride, c_stride,
                                    terms_from(terms, i, 0));
  }
}

/// The last columns of c, less than a vector, by padded copies.
template <class Words>
inline void product_last_columns(Index m, Index columns, Index depth, const Columns& a, const float* b, Index b_stride,
                                 float* c, Index c_stride, const ProductTerms<float>& terms) {
  float panel[tile_depth * LINFORMER_LANES];
  float sums[LINFORMER_TILE_ROWS * LINFORMER_LANES];
  for (Index p = 0; p < depth; ++p) {
    for (Index j = 0; j < lanes; ++j) panel[p * lanes + j] = j < columns ? b[p * b_stride + j] : 0.0F;
  }
  for (Index i = 0; i < m; i += tile_rows) {
    const Index rows = m - i < tile_rows ? m - i : tile_rows;
    product_columns<Words, 1>(rows, depth, a.from(i), panel, lanes, sums, lanes, {});
    for (Index s = 0; s < rows; ++s) {
      for (Index j = 0; j < columns; ++j) {
        float* out = c + (i + s) * c_stride + j;
        float sum = sums[s * lanes + j];
        if (terms.add) sum = __builtin_fmaf(*out, terms.kept != nullptr ? terms.kept[j] : 1.0F, sum);
        if (terms.row_bias != nullptr) sum += terms.row_bias[i + s];
        sum += terms.column_bias != nullptr ? terms.column_bias[j] : 0.0F;
        *out = sum * (terms.column_factor != nullptr ? terms.column_factor[j] : 1.0F);
      }
    }
  }
}

/// c (m × n) = aᵀ·b and the terms beside it: a is depth × m, b depth × n. Each element is a sum in the
/// order of depth, in blocks of `tile_depth`, wherever it lies in c.
template <class Words>
inline void product_of_rows(Index m, Index n, Index depth, const Columns& a, const float* b, Index b_stride, float* c,
                            Index c_stride, const ProductTerms<float>& terms) {
  Index p = 0;
  do {  // once where there is no depth: the terms alone
    const Index count = depth - p < tile_depth ? depth - p : tile_depth;
    const ProductTerms<float> now = terms_of_block(terms, p == 0, p + count == depth);
    const Columns a_block = a.rows_from(p);
    const float* b_block = b + p * b_stride;
    // Beside panels, four vectors of columns are two and two: one alone keeps too few sums under way. Rows as they are
    // share cache lines between tiles, which reading them in one wide pass uses better.
    Index wide = n / tile_columns;
    if (a.in_panels() && wide > 0 && n % tile_columns >= lanes && n % tile_columns < 2 * lanes) --wide;
    Index j = 0;
    for (; j < wide * tile_columns; j += tile_columns) {
      product_columns<Words, 3>(m, count, a_block, b_block + j, b_stride, c + j, c_stride, terms_from(now, 0, j));
    }
    for (; j + 2 * lanes <= n; j += 2 * lanes) {
      product_columns<Words, 2>(m, count, a_block, b_block + j, b_stride, c + j, c_stride, terms_from(now, 0, j));
    }
    if (j + lanes <= n) {
      product_columns<Words, 1>(m, count, a_block, b_block + j, b_stride, c + j, c_stride,
                                terms_from(now, 0, j));
      j += lanes;
    }
    if (j < n) {
      product_last_columns<Words>(m, n - j, count, a_block, b_block + j, b_stride, c + j, c_stride,
                                  terms_from(now, 0, j));
    }
    p += count;
  } while (p < depth);
}

/// The same, some rows of c at a time: what a block of depth adds to stays in the second-level cache for the next. Few
/// columns read their part of a again at once: fewer rows then leave the cache to it and to what the caller has there.
template <class Words>
inline void product_of(Index m, Index n, Index depth, const Columns& a, const float* b, Index b_stride, float* c,
                       Index c_stride, const ProductTerms<float>& terms) {
  const Index rows = n <= 2 * tile_columns ? 8 * lanes : 16 * lanes;
  for (Index i = 0; i < m; i += rows) {
    product_of_rows<Words>(m - i < rows ? m - i : rows, n, depth, a.from(i), b, b_stride, c + i * c_stride,
                           c_stride, terms_from(terms, i, 0));
  }
}

/// The product of floats.
inline void product(Index m, Index n, Index depth, const float* a, Index a_stride, Index a_panel_stride, const float* b,
                    Index b_stride, float* c, Index c_stride, const ProductTerms<float>& terms) {
  product_of<Single>(m, n, depth, {a, a_stride, a_panel_stride}, b, b_stride, c, c_stride, terms);
}

/// The product of pairs of bf16: `depth` counts pairs.
inline void product_of_pairs(Index m, Index n, Index depth, const float* a, Index a_stride, Index a_panel_stride,
                             const float* b, Index b_stride, float* c, Index c_stride,
                             const ProductTerms<float>& terms) {
  product_of<PairOfBf16>(m, n, depth, {a, a_stride, a_panel_stride}, b, b_stride, c, c_stride, terms);
}
