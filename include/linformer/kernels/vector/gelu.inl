// GELU is x·Φ(x) with the distribution function of the normal distribution, or with a logistic function near it. Both
// are computed from their lower tail at −a, a = |x|, which keeps its relative accuracy however small it is:
// Φ(x) = 1 − Φ(−a) for positive x loses nothing, Φ(−a) being at most ½.

/// |x|, or 14 where that is less: tails at −14 are 0. NaN stays NaN.
inline Lanes capped_magnitude(Lanes x) {
  const Lanes a = x < Lanes{} ? -x : x;
  return a > broadcast(14.0F) ? broadcast(14.0F) : a;
}

/// exp(−(whole + rest)): whole ≥ 0, rest what rounding took from it. Rounding alone would be an error of whole·u.
inline Lanes exponential_of_sum(Lanes whole, Lanes rest) {
  const Lanes e = exponential(-whole);
  return multiply_add(e, -rest, e);
}

/// The exact form.
struct ExactGelu {
  /// exp(−a²/2).
  static inline Lanes density(Lanes a) {
    const Lanes square = a * a;
    const Lanes rest = multiply_add(a, a, -square);
    const Lanes half = broadcast(0.5F);
    return exponential_of_sum(square * half, rest * half);
  }
  /// Φ(−a) / exp(−a²/2). Coefficients by scripts/make_erfc_polynomial.py: relative error 1.9e-8.
  static inline Lanes ratio(Lanes a) {
    const Lanes one = broadcast(1.0F);
    const Lanes t = one / multiply_add(a, broadcast(0.265625F), one);
    const Lanes s = t - broadcast(0.5F);
    Lanes p = broadcast(0.0306698605F);
    p = multiply_add(p, s, broadcast(-0.019631451F));
    p = multiply_add(p, s, broadcast(-0.0712427646F));
    p = multiply_add(p, s, broadcast(-0.00659956736F));
    p = multiply_add(p, s, broadcast(0.16478461F));
    p = multiply_add(p, s, broadcast(0.326396734F));
    p = multiply_add(p, s, broadcast(0.377231181F));
    p = multiply_add(p, s, broadcast(0.313131332F));
    p = multiply_add(p, s, broadcast(0.19938089F));
    return t * p;
  }
  static inline Lanes value(Lanes x) {
    const Lanes a = capped_magnitude(x);
    // The density last: a·ratio is less than ½, and only the result may become denormal.
    return multiply_add(-density(a), a * ratio(a), x > Lanes{} ? x : Lanes{});
  }
  /// Φ(x) + x·φ(x), which is 1 less its value at −x.
  static inline Lanes derivative(Lanes x) {
    const Lanes a = capped_magnitude(x);
    const Lanes lower = density(a) * multiply_add(a, broadcast(-0.398942280F), ratio(a));  // 1/√(2π)
    return x > Lanes{} ? broadcast(1.0F) - lower : lower;
  }
};

/// The form with tanh: ½·(1 + tanh(v/2)) = 1 / (1 + exp(−v)), v = x·(s + c·x²), s = 2·√(2/π), c = 0.044715·s.
struct TanhGelu {
  static constexpr float s = 1.59576912F, c = 0.0713548163F;
  static constexpr float s_rest = -4.53406805e-8F, c_rest = 2.39883247e-9F;  // what s and c as floats lack

  /// exp(−v) at a, of v to twice the precision.
  static inline Lanes power(Lanes a) {
    const Lanes square = a * a;
    const Lanes square_rest = multiply_add(a, a, -square);
    Lanes sum = in_register(square * broadcast(c));  // a fused sum would leave nothing for two_sum to find
    Lanes rest = multiply_add(square, broadcast(c), -sum);
    two_sum(sum, rest, broadcast(s));
    rest = multiply_add(square_rest, broadcast(c), rest);
    rest = multiply_add(square, broadcast(c_rest), rest) + broadcast(s_rest);
    const Lanes v = a * sum;
    return exponential_of_sum(v, multiply_add(a, rest, multiply_add(a, sum, -v)));
  }
  static inline Lanes value(Lanes x) {
    const Lanes a = capped_magnitude(x);
    const Lanes e = power(a);
    return (x > Lanes{} ? x : Lanes{} - a * e) / (broadcast(1.0F) + e);
  }
  /// σ(v) + x·σ(v)·σ(−v)·v′, which is 1 less its value at −x.
  static inline Lanes derivative(Lanes x) {
    const Lanes a = capped_magnitude(x);
    const Lanes e = power(a);
    const Lanes upper = broadcast(1.0F) / (broadcast(1.0F) + e);
    const Lanes slope = multiply_add(a * a, broadcast(3 * c), broadcast(s));
    const Lanes lower = e * upper * multiply_add(a * upper, -slope, broadcast(1.0F));
    return x > Lanes{} ? broadcast(1.0F) - lower : lower;
  }
};

template <class Form>
inline void apply_gelu(Index rows, Index columns, float* values, Index stride) {
  for (Index i = 0; i < rows; ++i, values += stride) {
    Index j = 0;
    for (; j + lanes <= columns; j += lanes) store(values + j, Form::value(load(values + j)));
    if (j < columns) store_first(values + j, columns - j, Form::value(load_first(values + j, columns - j)));
  }
}

template <class Form>
inline void apply_gelu_gradient(Index rows, Index columns, const float* x, Index x_stride, float* gradient,
                                Index gradient_stride) {
  for (Index i = 0; i < rows; ++i, x += x_stride, gradient += gradient_stride) {
    Index j = 0;
    for (; j + lanes <= columns; j += lanes) store(gradient + j, load(gradient + j) * Form::derivative(load(x + j)));
    if (j < columns) {
      const Index count = columns - j;
      store_first(gradient + j, count, load_first(gradient + j, count) * Form::derivative(load_first(x + j, count)));
    }
  }
}

inline void gelu(Index rows, Index columns, float* values, Index stride) {
  apply_gelu<ExactGelu>(rows, columns, values, stride);
}
inline void gelu_tanh(Index rows, Index columns, float* values, Index stride) {
  apply_gelu<TanhGelu>(rows, columns, values, stride);
}
inline void gelu_gradient(Index rows, Index columns, const float* x, Index x_stride, float* gradient,
                          Index gradient_stride) {
  apply_gelu_gradient<ExactGelu>(rows, columns, x, x_stride, gradient, gradient_stride);
}
inline void gelu_tanh_gradient(Index rows, Index columns, const float* x, Index x_stride, float* gradient,
                               Index gradient_stride) {
  apply_gelu_gradient<TanhGelu>(rows, columns, x, x_stride, gradient, gradient_stride);
}
