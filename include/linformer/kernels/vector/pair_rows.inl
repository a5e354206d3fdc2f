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
