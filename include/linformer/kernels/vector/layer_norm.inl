/// The sum of the lanes, by halves.
inline float sum_of_lanes(Lanes value) {
  float parts[LINFORMER_LANES];
  store(parts, value);
  for (Index half = lanes / 2; half > 0; half /= 2) {
    for (Index i = 0; i < half; ++i) parts[i] += parts[half + i];
  }
  return parts[0];
}

/// The sum of a row: four vectors of partial sums, so that one addition need not wait for the last.
inline float sum_of_row(Index columns, const float* x) {
  Lanes sums[4] = {};
  Index j = 0;
  for (; j + 4 * lanes <= columns; j += 4 * lanes) {
#pragma GCC unroll 4
    for (Index i = 0; i < 4; ++i) sums[i] += load(x + j + i * lanes);
  }
  for (; j + lanes <= columns; j += lanes) sums[0] += load(x + j);
  if (j < columns) sums[1] += load_first(x + j, columns - j);
  return sum_of_lanes((sums[0] + sums[1]) + (sums[2] + sums[3]));
}

/// The sums of a row's differences from `about`, and of their squares.
inline void sums_of_differences(Index columns, const float* x, float about, float& sum, float& square) {
  Lanes sums[4] = {}, squares[4] = {};
  const Lanes from = broadcast(about);
  Index j = 0;
  for (; j + 4 * lanes <= columns; j += 4 * lanes) {
#pragma GCC unroll 4
    for (Index i = 0; i < 4; ++i) {
      const Lanes difference = load(x + j + i * lanes) - from;
      sums[i] += difference;
      squares[i] = multiply_add(difference, difference, squares[i]);
    }
  }
  for (; j + lanes <= columns; j += lanes) {
    const Lanes difference = load(x + j) - from;
    sums[0] += difference;
    squares[0] = multiply_add(difference, difference, squares[0]);
  }
  if (j < columns) {
    float differences[LINFORMER_LANES] = {};  // beyond the row there is none, not that of 0
    for (Index i = 0; i < columns - j; ++i) differences[i] = x[j + i] - about;
    const Lanes difference = load(differences);
    sums[1] += difference;
    squares[1] = multiply_add(difference, difference, squares[1]);
  }
  sum = sum_of_lanes((sums[0] + sums[1]) + (sums[2] + sums[3]));
  square = sum_of_lanes((squares[0] + squares[1]) + (squares[2] + squares[3]));
}

/// Layer norm of each row, see layer_norm.hpp; means and reciprocals may be null.
inline void layer_norm(Index rows, Index columns, const float* x, Index x_stride, const float* weight,
                       const float* bias, float epsilon, float* y, Index y_stride, float* means, float* reciprocals) {
  const float count = static_cast<float>(columns);
  for (Index i = 0; i < rows; ++i, x += x_stride, y += y_stride) {
    const float about = sum_of_row(columns, x) / count;
    float sum = 0, square = 0;
    sums_of_differences(columns, x, about, sum, square);
    const float correction = sum / count;
    const float mean = about + correction;
    const float variance = __builtin_fmaf(-correction, correction, square / count);
    // Rounding may leave it below zero, not NaN.
    const float reciprocal = 1 / __builtin_sqrtf((variance < 0 ? 0 : variance) + epsilon);
    if (means != nullptr) means[i] = mean;
    if (reciprocals != nullptr) reciprocals[i] = reciprocal;
    const Lanes shift = broadcast(mean), scale = broadcast(reciprocal);
    Index j = 0;
    for (; j + lanes <= columns; j += lanes) {
      store(y + j, multiply_add((load(x + j) - shift) * scale, load(weight + j), load(bias + j)));
    }
    if (j < columns) {
      const Index last = columns - j;
      const Lanes normal = (load_first(x + j, last) - shift) * scale;
      store_first(y + j, last, multiply_add(normal, load_first(weight + j, last), load_first(bias + j, last)));
    }
  }
}

/// Backward of layer norm of each row, in place, see layer_norm.hpp.
inline void layer_norm_gradient(Index rows, Index columns, const float* x, Index x_stride, const float* weight,
                                const float* means, const float* reciprocals, float* gradient, Index gradient_stride,
                                float* weight_gradient, float* bias_gradient) {
  const float count = static_cast<float>(columns);
  const Index whole = columns / lanes * lanes, last = columns - whole;
  for (Index i = 0; i < rows; ++i, x += x_stride, gradient += gradient_stride) {
    const Lanes shift = broadcast(means[i]), scale = broadcast(reciprocals[i]);
    Lanes sums = {}, products = {};
    for (Index j = 0; j < whole; j += lanes) {
      const Lanes normal = (load(x + j) - shift) * scale, given = load(gradient + j), g = given * load(weight + j);
      sums += g;
      products = multiply_add(g, normal, products);
      store(weight_gradient + j, multiply_add(given, normal, load(weight_gradient + j)));
      store(bias_gradient + j, load(bias_gradient + j) + given);
    }
    if (last != 0) {
      const Lanes normal = (load_first(x + whole, last) - shift) * scale;
      const Lanes given = load_first(gradient + whole, last), g = given * load_first(weight + whole, last);
      sums += g;
      products = multiply_add(g, normal, products);
      store_first(weight_gradient + whole, last,
                  multiply_add(given, normal, load_first(weight_gradient + whole, last)));
      store_first(bias_gradient + whole, last, load_first(bias_gradient + whole, last) + given);
    }
    const Lanes mean = broadcast(sum_of_lanes(sums) / count), along = broadcast(sum_of_lanes(products) / count);
    for (Index j = 0; j < whole; j += lanes) {
      const Lanes normal = (load(x + j) - shift) * scale;
      store(gradient + j, scale * (load(gradient + j) * load(weight + j) - mean - normal * along));
    }
    if (last != 0) {
      const Lanes normal = (load_first(x + whole, last) - shift) * scale;
      const Lanes g = load_first(gradient + whole, last) * load_first(weight + whole, last);
      store_first(gradient + whole, last, scale * (g - mean - normal * along));
    }
  }
}
