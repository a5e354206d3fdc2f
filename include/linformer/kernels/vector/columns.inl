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

/// Backward of softmax down columns, see softmax_gradient.hpp.
inline void softmax_gradient(Index keys, Index queries, const float* p, Index p_stride, float* gradient,
                             Index gradient_stride, float* sums) {
  Index j = 0;
  for (; j + lanes <= queries; j += lanes) {
    Lanes sum = {};
    for (Index i = 0; i < keys; ++i) {
      sum = multiply_add(load(p + i * p_stride + j), load(gradient + i * gradient_stride + j), sum);
    }
    store(sums + j, sum);
    for (Index i = 0; i < keys; ++i) {
      float* const row = gradient + i * gradient_stride + j;
      store(row, load(p + i * p_stride + j) * (load(row) - sum));
    }
  }
  for (; j < queries; ++j) {
    sums[j] = 0;
    for (Index i = 0; i < keys; ++i) {
      sums[j] = __builtin_fmaf(p[i * p_stride + j], gradient[i * gradient_stride + j], sums[j]);
    }
    for (Index i = 0; i < keys; ++i) {
      float& value = gradient[i * gradient_stride + j];
      value = p[i * p_stride + j] * (value - sums[j]);
    }
  }
}
