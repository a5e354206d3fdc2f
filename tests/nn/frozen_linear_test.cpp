#include <linformer/nn/frozen_linear.hpp>

#include "support/attention_support.hpp"
#include "support/resources.hpp"

namespace {

template <Scalar T>
Linear<T> random_linear(bool with_bias) {
  Linear<T> linear = Linear<T>::zeros("w", 5, 13, with_bias);
  linear.weight = random_matrix<T>(5, 13, 1);
  if (with_bias) linear.bias = random_matrix<T>(5, 1, 2);
  return linear;
}

}  // namespace

TEST_CASE("a frozen linear map is that which it was made from", "[frozen_linear]") {
  for (const bool with_bias : {false, true}) {
    const auto linear = random_linear<float>(with_bias);
    const FrozenLinear<float> frozen(linear, Precision::full), half(linear, Precision::bf16);
    CHECK(frozen.in() == 13);
    CHECK(frozen.out() == 5);
    CHECK(frozen.bytes() == (5U * 13U + (with_bias ? 5U : 0U)) * 4U);
    CHECK(half.bytes() == 5U * 14U * 2U + (with_bias ? 20U : 0U));  // an odd row has half a word to itself
    const Matrix<float> x = random_matrix<float>(100, 13, 3);
    for (const Isa isa : supported_isas()) {
      CAPTURE(with_bias, name_of(isa));
      Resources resources(1, isa);
      Matrix<float> y(100, 5), z(100, 5), rounded(100, 5);
      linear_forward<float>(linear, x, y, resources.execution);
      linear_forward<float>(frozen, x, z, resources.execution);
      // Each product of 13 terms errs by at most γ₁₄ of their magnitudes, on either side.
      const Matrix<float> magnitude =
          (x.cwiseAbs() * linear.weight.cwiseAbs().transpose()).array() + (with_bias ? 0.5F : 0.0F);
      CHECK(((y - z).cwiseAbs().array() <= 2 * 15 * 0x1p-24F * magnitude.array()).all());
      if (isa != Isa::eigen) CHECK(same_bits(y, z));
      Execution in_bf16 = resources.execution;
      in_bf16.precision = Precision::bf16;
      linear_forward<float>(half, x, rounded, in_bf16);
      CHECK(((y - rounded).cwiseAbs().array() <= 0x1.1p-7F * magnitude.array()).all());
      CHECK_FALSE(same_bits(y, rounded));
    }
  }
}

TEST_CASE("a linear map of double has no bf16", "[frozen_linear]") {
  const auto linear = random_linear<double>(true);
  check_error([&] { (void)FrozenLinear<double>(linear, Precision::bf16); }, ErrorCode::unsupported, "precision");
}
