#include <linformer/model/feed_forward.hpp>

#include <linformer/nn/frozen_linear.hpp>

#include "support/attention_support.hpp"
#include "support/resources.hpp"

namespace {

template <Scalar T>
Linear<T> random_linear(Index out, Index in, unsigned seed) {
  Linear<T> linear = Linear<T>::zeros("w", out, in, true);
  linear.weight = random_matrix<T>(out, in, seed);
  linear.bias = random_matrix<T>(out, 1, seed + 1);
  return linear;
}

/// The map and a bound of its error by plain loops in double: u·error of products in any order (Higham 2002, 3.5), and
/// `rounding` times each term where operands are rounded first.
struct Expected {
  oracle::Table value, bound;
};

Expected apply(const oracle::Table& weight, const oracle::Table& bias, const Expected& x, double u, double rounding) {
  Expected y{oracle::Table(x.value.rows(), weight.rows()), oracle::Table(x.value.rows(), weight.rows())};
  for (Index i = 0; i < y.value.rows(); ++i) {
    for (Index j = 0; j < y.value.cols(); ++j) {
      double sum = bias(j, 0), magnitude = std::abs(sum), passed = 0;
      for (Index c = 0; c < weight.cols(); ++c) {
        sum += x.value(i, c) * weight(j, c);
        magnitude += (std::abs(x.value(i, c)) + x.bound(i, c)) * std::abs(weight(j, c));
        passed += x.bound(i, c) * std::abs(weight(j, c));
      }
      y.value(i, j) = sum;
      y.bound(i, j) = passed + (static_cast<double>(weight.cols() + 2) * u + rounding) * magnitude;
    }
  }
  return y;
}

template <Scalar T>
void check(Precision precision, OperandLayout layout) {
  // bfloat16 is within 2⁻⁸ of each operand, hence a product of two within 2⁻⁷ + 2⁻¹⁶.
  const double u = static_cast<double>(std::numeric_limits<T>::epsilon()) / 2;
  const double rounding = precision == Precision::bf16 ? 0x1p-7 + 0x1p-16 : 0;
  for (const Index features : {7, 512, 601}) {
    for (const Index rows : {1, 5, 96}) {
      const auto first = random_linear<T>(features, 12, 1), second = random_linear<T>(10, features, 3);
      const Matrix<T> x = random_matrix<T>(rows, 12, 5) * T{6};
      Expected inner = apply(exact(first.weight), exact(Matrix<T>(first.bias)),
                             {exact(x), oracle::Table::Zero(rows, 12)}, u, rounding);
      Expected active = inner;
      active.value = inner.value.unaryExpr([](double a) { return a * std::erfc(-a / std::sqrt(2.0)) / 2; });
      // GELU is Lipschitz with less than 1.13, and computed within 8 ULP, that is 16·u.
      active.bound = 1.13 * inner.bound + 16 * u * active.value.cwiseAbs();
      const Expected expected = apply(exact(second.weight), exact(Matrix<T>(second.bias)), active, u, rounding);
      const FrozenLinear<T> frozen_first(first, precision, layout), frozen_second(second, precision, layout);
      for (const Isa isa : supported_isas()) {
        CAPTURE(features, rows, name_of(isa), precision);
        Resources resources(1, isa);
        Compute compute = resources.execution.here();
        compute.precision = precision;
        Matrix<T> y(rows, 10), seen = Matrix<T>::Constant(rows, features, std::numeric_limits<T>::quiet_NaN());
        feed_forward<T>(
            frozen_first.view(), frozen_second.view(), Gelu::exact, x, y,
            [&](Index at, const ConstMatrixRef<T>& part) { seen.middleCols(at, part.rows()) = part.transpose(); },
            compute);
        CHECK(((exact(y) - expected.value).cwiseAbs().array() <= expected.bound.array()).all());
        CHECK(((exact(seen) - inner.value).cwiseAbs().array() <= inner.bound.array()).all());
      }
    }
  }
}

}  // namespace

TEST_CASE("the feed-forward layer is the formula's, in parts too, in every precision", "[feed_forward]") {
  check<float>(Precision::full, OperandLayout::panels);
  check<float>(Precision::full, OperandLayout::rows);
  check<double>(Precision::full, OperandLayout::panels);
  check<float>(Precision::bf16, OperandLayout::panels);
}

TEST_CASE("a row's bits do not depend on the rows beside it", "[feed_forward]") {
  const FrozenLinear<float> first(random_linear<float>(601, 12, 1), Precision::full, OperandLayout::panels),
      second(random_linear<float>(10, 601, 3), Precision::full, OperandLayout::panels);
  const Matrix<float> x = random_matrix<float>(61, 12, 5);
  const auto run = [&](const ConstMatrixRef<float>& rows, const Compute& compute) {
    Matrix<float> y(rows.rows(), 10);
    feed_forward<float>(
        first.view(), second.view(), Gelu::tanh, rows, y, [](Index, const auto&) {}, compute);
    return y;
  };
  for (const Isa isa : supported_isas()) {
    if (isa == Isa::eigen) continue;  // whose products look at shapes
    Resources resources(1, isa);
    const Matrix<float> whole = run(x, resources.execution.here());
    for (const Index row : {0, 17, 60}) {
      CHECK(same_bits<float>(run(x.row(row), resources.execution.here()), whole.row(row)));
    }
  }
}

namespace {

/// Backward of rows, beside the formula in double precision on the same float or double inputs.
template <Scalar T>
void check_backward() {
  const double u = static_cast<double>(std::numeric_limits<T>::epsilon()) / 2;
  const auto derivative = [](double a) {
    return std::erfc(-a / std::sqrt(2.0)) / 2 + a * std::exp(-a * a / 2) / std::sqrt(2 * std::acos(-1.0));
  };
  for (const Index features : {7, 512, 601}) {
    for (const Index rows : {1, 5, 96}) {
      const auto first = random_linear<T>(features, 12, 1), second = random_linear<T>(10, features, 3);
      const Matrix<T> inner = random_matrix<T>(rows, features, 5) * T{6}, y_gradient = random_matrix<T>(rows, 10, 6);
      const oracle::Table weights = exact(first.weight), inputs = exact(inner);
      const oracle::Table none = oracle::Table::Zero(rows, 10);
      const oracle::Table no_bias = oracle::Table::Zero(features, 1), no_output_bias = oracle::Table::Zero(12, 1);
      Expected inner_gradient = apply(exact(second.weight).transpose(), no_bias, {exact(y_gradient), none}, u, 0);
      const oracle::Table factor = inputs.unaryExpr(derivative);
      // Φ(x) + |x|·φ(x) is below 1.5: the factor is within 15·u, see gelu_gradient, and the product one rounding more.
      inner_gradient.bound = (factor.cwiseAbs().array() + 15 * u) * inner_gradient.bound.array() +
                             17 * u * inner_gradient.value.cwiseAbs().array();
      inner_gradient.value = inner_gradient.value.cwiseProduct(factor);
      const Expected x_gradient = apply(weights.transpose(), no_output_bias, inner_gradient, u, 0);
      const oracle::Table active = inputs.unaryExpr([](double a) { return a * std::erfc(-a / std::sqrt(2.0)) / 2; });
      for (const Isa isa : supported_isas()) {
        CAPTURE(features, rows, name_of(isa));
        Resources resources(1, isa);
        const T unset = std::numeric_limits<T>::quiet_NaN();
        Matrix<T> its_active = Matrix<T>::Constant(rows, features, unset), to_inner = its_active,
                  to_x = Matrix<T>::Constant(rows, 12, unset);
        feed_forward_backward<T>(first.weight, second.weight, Gelu::exact, inner, y_gradient, its_active, to_inner,
                                 to_x, resources.execution.here());
        // 8 ULP, and in double, where the formula here is no more exact, a² for the argument of erfc, rounded.
        const oracle::Table active_bound = u * (16 + inputs.array().square()) * active.cwiseAbs().array() + 1e-36;
        CHECK(((exact(its_active) - active).cwiseAbs().array() <= active_bound.array()).all());
        CHECK(((exact(to_inner) - inner_gradient.value).cwiseAbs().array() <= inner_gradient.bound.array()).all());
        CHECK(((exact(to_x) - x_gradient.value).cwiseAbs().array() <= x_gradient.bound.array()).all());
      }
    }
  }
}

}  // namespace

TEST_CASE("backward of the feed-forward layer is the formula's, in parts too", "[feed_forward]") {
  check_backward<float>();
  check_backward<double>();
}
