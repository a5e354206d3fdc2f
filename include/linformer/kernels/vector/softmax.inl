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
