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
