// What is done to every row of a matrix alike.

/// m (rows × columns) times factors (columns).
inline void scale_columns(Index rows, Index columns, float* m, Index stride, const float* factors) {
  for (Index i = 0; i < rows; ++i, m += stride) {
    Index j = 0;
    for (; j + lanes <= columns; j += lanes) store(m + j, load(m + j) * load(factors + j));
    for (; j < columns; ++j) m[j] *= factors[j];
  }
}

/// One step of Knuth's two-sum: sum + error ← sum + error + part. Written once for vectors and for single values.
template <class Value>
inline void two_sum(Value& sum, Value& error, Value part) {
  const Value whole = sum + part;
  const Value added = whole - sum;
  error += (sum - (whole - added)) + (part - added);
  sum = whole;
}

/// sum (count) += part, what rounding loses of it being added to error.
inline void add_compensated(Index count, float* sum, float* error, const float* part) {
  Index i = 0;
  for (; i + lanes <= count; i += lanes) {
    Lanes s = load(sum + i), e = load(error + i);
    two_sum(s, e, load(part + i));
    store(sum + i, s);
    store(error + i, e);
  }
  for (; i < count; ++i) two_sum(sum[i], error[i], part[i]);
}
