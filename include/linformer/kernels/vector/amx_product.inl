// The product of pairs of bf16 on AMX. A tile is 16 rows of 16 words; one instruction adds a tile of aᵀ, for which a,
// which lies transposed, is packed, times a tile of b, which is read where it lies, to a tile of sums. Four tiles of sums
// are under way, which two of aᵀ and two of b serve. What is beyond the depth and beyond b's columns is zero; what is
// beyond a's columns goes to rows of sums that are not read.

/// Rows of a tile, and words in one of its rows.
constexpr Index tile_side = 16;
constexpr Index tile_words = tile_side * tile_side;

/// What `ldtilecfg` reads: eight tiles of full size.
struct alignas(64) TileConfig {
  unsigned char palette = 1, start_row = 0, reserved[14] = {};
  unsigned short bytes_per_row[16] = {64, 64, 64, 64, 64, 64, 64, 64};
  unsigned char rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};

static_assert(lanes == tile_side && tile_depth % tile_side == 0 && panel_columns == 8);

/// GCC does not know what tiles read: nothing written before moves behind this, nothing written after moves before it.
inline void settle_memory() { asm volatile("" ::: "memory"); }  // NOLINT(hicpp-no-assembler)

/// The first `count` values of a vector, or all.
inline Lanes load_at_most(const float* from, Index count) {
  return count >= lanes ? load(from) : load_first(from, count);
}

/// Columns of a, at most two tiles of them, as tiles of rows: first all tiles of the first 16, then those of the others.
inline void pack_columns(Index m, Index depth, const Columns& a, float* tiles) {
  const Index deep = (depth + tile_side - 1) / tile_side;
  for (Index i = 0; i < m; i += 8) {
    const Columns from = a.from(i);
    float* rows = tiles + i / tile_side * deep * tile_words + i % tile_side * tile_side;
    for (Index p = 0; p < deep * tile_side; p += 8) {
      const float* in = from.data + p * from.stride;
      float* out = rows + p / tile_side * tile_words + p % tile_side;
      if (i + 8 <= m && p + 8 <= depth) {
        transpose_block(in, from.stride, out, tile_side);
        continue;
      }
      float block[8 * 8] = {};
      for (Index t = 0; t < 8 && p + t < depth; ++t) {
        for (Index s = 0; s < 8 && i + s < m; ++s) block[t * 8 + s] = in[t * from.stride + s];
      }
      transpose_block(block, 8, out, tile_side);
    }
  }
}

/// A tile of b, of which `rows` × `columns` words are there: where that is not all of them, a copy beside zeros.
/// @param stride between rows of b, and then of what is returned
inline const float* whole_tile(const float* b, Index& stride, Index rows, Index columns, float* copy) {
  if (rows >= tile_side && columns >= tile_side) return b;
  for (Index p = 0; p < tile_side; ++p) {
    store(copy + p * tile_side, p < rows ? load_at_most(b + p * stride, columns) : Lanes{});
  }
  stride = tile_side;
  settle_memory();
  return copy;
}

/// c (m × n) = the sums and the terms beside them. @param sums m × n, rows `stride` apart
inline void add_terms(Index m, Index n, const float* sums, Index stride, float* c, Index c_stride,
                      const ProductTerms<float>& terms) {
  for (Index j = 0; j < n; j += lanes) {
    const Index count = n - j;
    const Lanes kept = terms.kept != nullptr ? load_at_most(terms.kept + j, count) : broadcast(1.0F);
    const Lanes factor = terms.column_factor != nullptr ? load_at_most(terms.column_factor + j, count) : broadcast(1.0F);
    const Lanes column_bias = terms.column_bias != nullptr ? load_at_most(terms.column_bias + j, count) : Lanes{};
    for (Index i = 0; i < m; ++i) {
      float* out = c + i * c_stride + j;
      Lanes sum = load(sums + i * stride + j);
      if (terms.add) sum = multiply_add(load_at_most(out, count), kept, sum);
      if (terms.row_bias != nullptr) sum += broadcast(terms.row_bias[i]);
      sum = (sum + column_bias) * factor;
      if (count >= lanes) {
        store(out, sum);
      } else {
        store_first(out, count, sum);
      }
    }
  }
}

/// c (m × n, at most two tiles each way) = aᵀ·b and the terms beside it. @param a as `pack_columns` wrote it
inline void product_of_tiles(Index m, Index n, Index depth, const float* a, const float* b, Index b_stride, float* c,
                             Index c_stride, const ProductTerms<float>& terms) {
  constexpr Index width = 2 * tile_side;
  constexpr Index row_bytes = 4 * tile_side;
  const Index deep = (depth + tile_side - 1) / tile_side;
  const bool second_rows = m > tile_side, second_columns = n > tile_side;
  alignas(64) float copies[2][tile_words];
  alignas(64) float sums[width * width];
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
  for (Index p = 0; p < deep; ++p) {
    const float* rows = b + p * tile_side * b_stride;
    const Index left = depth - p * tile_side;
    Index stride = b_stride;
    const float* first = whole_tile(rows, stride, left, n, copies[0]);
    _tile_loadd(4, a + p * tile_words, row_bytes);
    _tile_loadd(6, first, 4 * stride);
    _tile_dpbf16ps(0, 4, 6);
    if (second_columns) {
      stride = b_stride;
      const float* second = whole_tile(rows + tile_side, stride, left, n - tile_side, copies[1]);
      _tile_loadd(7, second, 4 * stride);
      _tile_dpbf16ps(1, 4, 7);
    }
    if (second_rows) {
      _tile_loadd(5, a + (deep + p) * tile_words, row_bytes);
      _tile_dpbf16ps(2, 5, 6);
      if (second_columns) _tile_dpbf16ps(3, 5, 7);
    }
    settle_memory();  // the next copies replace what has been read
  }
  _tile_stored(0, sums, 4 * width);
  if (second_columns) _tile_stored(1, sums + tile_side, 4 * width);
  if (second_rows) _tile_stored(2, sums + tile_side * width, 4 * width);
  if (second_rows && second_columns) _tile_stored(3, sums + tile_side * width + tile_side, 4 * width);
  settle_memory();
  add_terms(m, n, sums, width, c, c_stride, terms);
}

/// The product of pairs of bf16: `depth` counts pairs. Each element is a sum in blocks of `tile_depth`, and those in tiles,
/// wherever it lies in c; within a tile the instruction sums first and second halves of words apart.
inline void product_of_pairs(Index m, Index n, Index depth, const float* a, Index a_stride, Index a_panel_stride,
                             const float* b, Index b_stride, float* c, Index c_stride,
                             const ProductTerms<float>& terms) {
  constexpr Index width = 2 * tile_side;
  alignas(64) float tiles[width * tile_depth];
  static constexpr TileConfig config;
  _tile_loadconfig(&config);
  const Columns columns{a, a_stride, a_panel_stride};
  Index p = 0;
  do {  // once where there is no depth: the terms alone
    const Index count = depth - p < tile_depth ? depth - p : tile_depth;
    const ProductTerms<float> now = terms_of_block(terms, p == 0, p + count == depth);
    for (Index i = 0; i < m; i += width) {
      const Index rows = m - i < width ? m - i : width;
      pack_columns(rows, count, columns.from(i).rows_from(p), tiles);
      settle_memory();
      for (Index j = 0; j < n; j += width) {
        product_of_tiles(rows, n - j < width ? n - j : width, count, tiles, b + p * b_stride + j, b_stride,
                         c + i * c_stride + j, c_stride, terms_from(now, i, j));
      }
    }
    p += count;
  } while (p < depth);
  _tile_release();
}
