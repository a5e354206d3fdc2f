/// e^x for x ≤ 0, within 2 ULP; 0 below −87.33, where the result is less than 1.01 of the least normal one; NaN for
/// NaN. The polynomial is that of Cephes' expf.
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
