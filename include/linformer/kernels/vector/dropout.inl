/// The high and low halves of 32 × 32 bit products.
inline void multiply_words(UnsignedLanes a, unsigned factor, UnsignedLanes& high, UnsignedLanes& low) {
  const WideLanes each = __builtin_bit_cast(WideLanes, a), upper = WideLanes{} + 0xFFFFFFFF00000000ULL;
  const WideLanes by = WideLanes{} + factor;
  const WideLanes even = LINFORMER_MULTIPLY_EVEN(each, by), odd = LINFORMER_MULTIPLY_EVEN(each >> 32, by);
  low = __builtin_bit_cast(UnsignedLanes, (even & ~upper) | (odd << 32));
  high = __builtin_bit_cast(UnsignedLanes, (even >> 32) | (odd & upper));
}

/// Philox4x32-10 of a vector of counters, see random.hpp: word w of each lane is c[w].
inline void philox_words(UnsignedLanes c[4], unsigned key0, unsigned key1) {
  for (int round = 0; round < 10; ++round, key0 += 0x9E3779B9U, key1 += 0xBB67AE85U) {
    UnsignedLanes high0, low0, high1, low1;
    multiply_words(c[0], 0xD2511F53U, high0, low0);
    multiply_words(c[2], 0xCD9E8D57U, high1, low1);
    c[0] = high1 ^ c[1] ^ key0;
    c[1] = low1;
    c[2] = high0 ^ c[3] ^ key1;
    c[3] = low0;
  }
}

/// 0, 1, 2, …
inline UnsignedLanes lane_numbers() {
  unsigned numbers[LINFORMER_LANES];
  for (unsigned i = 0; i < LINFORMER_LANES; ++i) numbers[i] = i;
  UnsignedLanes result;
  __builtin_memcpy(&result, numbers, sizeof result);
  return result;
}

/// value · scale, or value · 0 where the word lies below the threshold.
inline Lanes kept_or_zero(Lanes value, UnsignedLanes words, unsigned threshold, Lanes scale) {
  const IntegerLanes keeps = words >= UnsignedLanes{} + threshold;
  return value * __builtin_bit_cast(Lanes, __builtin_bit_cast(IntegerLanes, scale) & keeps);
}

/// Dropout of weights, keys × queries, see dropout.hpp: query j has position first_position + j, key i column
/// first_column + i; first_column is a multiple of 4, and positions stay below 2^32.
inline void drop_queries(Index keys, Index queries, float* weights, Index stride, unsigned first_position,
                         unsigned first_column, unsigned key0, unsigned key1, unsigned threshold, float scale) {
  const Lanes factor = broadcast(scale);
  const UnsignedLanes numbers = lane_numbers();
  for (Index i = 0; i < keys; i += 4) {
    const Index group = keys - i < 4 ? keys - i : 4;
    for (Index j = 0; j < queries; j += lanes) {
      UnsignedLanes c[4] = {numbers + (first_position + static_cast<unsigned>(j)), UnsignedLanes{},
                            UnsignedLanes{} + (first_column + static_cast<unsigned>(i)) / 4, UnsignedLanes{}};
      philox_words(c, key0, key1);
      for (Index w = 0; w < group; ++w) {
        float* const values = weights + (i + w) * stride + j;
        if (j + lanes <= queries) {
          store(values, kept_or_zero(load(values), c[w], threshold, factor));
        } else {
          store_first(values, queries - j, kept_or_zero(load_first(values, queries - j), c[w], threshold, factor));
        }
      }
    }
  }
}

/// Dropout of rows, see dropout.hpp: row i has position first_position + i, a value its own column.
inline void drop_rows(Index rows, Index columns, float* values, Index stride, unsigned first_position, unsigned key0,
                      unsigned key1, unsigned threshold, float scale) {
  const UnsignedLanes numbers = lane_numbers();
  for (Index i = 0; i < rows; ++i, values += stride) {
    for (Index j = 0; j < columns; j += 4 * lanes) {
      UnsignedLanes c[4] = {UnsignedLanes{} + (first_position + static_cast<unsigned>(i)), UnsignedLanes{},
                            numbers + static_cast<unsigned>(j) / 4, UnsignedLanes{}};
      philox_words(c, key0, key1);
      unsigned words[4][LINFORMER_LANES];
      __builtin_memcpy(words, c, sizeof words);
      const Index count = columns - j < 4 * lanes ? columns - j : 4 * lanes;
      for (Index k = 0; k < count; ++k) values[j + k] *= words[k % 4][k / 4] >= threshold ? scale : 0;
    }
  }
}
