#include <linformer/attention/projected_sum.hpp>

#include "support/attention_support.hpp"

namespace {

/// Sum and ones of all rows, as (k × c, k).
template <Scalar T>
std::pair<Matrix<T>, Vector<T>> read(const ProjectedSum<T>& sum, bool average = false) {
  std::vector<Index> rows(static_cast<std::size_t>(sum.rows()));
  std::iota(rows.begin(), rows.end(), Index{0});
  Matrix<T> out(sum.rows(), sum.width());
  Vector<T> ones(sum.rows());
  sum.read(rows, average, out, std::span(ones.data(), rows.size()));
  return {out, ones};
}

}  // namespace

TEMPLATE_TEST_CASE("a sum of many parts errs like a sum of two", "", float, double) {
  using T = TestType;
  constexpr Index parts = 100'000;
  constexpr double u = static_cast<double>(std::numeric_limits<T>::epsilon()) / 2;
  // Parts of one sign and one size, where a plain sum drifts by 1e4 units and more.
  const Matrix<T> values = random_matrix<T>(parts, 4, 1).cwiseAbs() * T(1e-3) + Matrix<T>::Constant(parts, 4, T(0.1));
  ProjectedSum<T> whole(2, 2, Reduction::sum), left = whole, right = whole;
  long double expected[4] = {}, expected_ones = 0;
  for (Index i = 0; i < parts; ++i) {
    Matrix<T> part(2, 2);
    for (Index j = 0; j < 4; ++j) {
      part.data()[j] = values(i, j);
      expected[j] += static_cast<long double>(values(i, j));
    }
    const Vector<T> ones = Vector<T>::Constant(2, values(i, 0));
    expected_ones += static_cast<long double>(values(i, 0));
    whole.add(part, ones);
    (i < parts / 3 ? left : right).add(part, ones);
  }
  left.merge(right);
  for (const ProjectedSum<T>* sum : {&whole, &left}) {
    const auto [out, ones] = read(*sum);
    for (Index j = 0; j < 4; ++j) {
      // Two roundings: of the sum of errors, below u²·m·Σ|part| in all (m·u < 0.01 here), and of the corrected sum.
      // For double the reference in extended precision adds 2^-64·m < 0.01 u.
      const auto error = static_cast<double>(std::abs(static_cast<long double>(out.data()[j]) - expected[j]));
      CHECK(error <= 1.05 * u * static_cast<double>(expected[j]));
    }
    CHECK(std::abs(static_cast<double>(static_cast<long double>(ones(0)) - expected_ones)) <=
          1.05 * u * static_cast<double>(expected_ones));
  }
}

TEST_CASE("an average divides by the tokens that reached the row") {
  const Projection<double> pooling(MeanPooling<double>{Windows(2, 5)});  // tokens 0–1 and 2–4
  ProjectedSum<double> sum(2, 1, Reduction::sum);
  sum.count(pooling, {0, 4});
  sum.count(pooling, {4, 1});
  CHECK(sum.counts()(0) == 2);
  CHECK(sum.counts()(1) == 3);
  Matrix<double> part(2, 1);
  part << 8, 6;
  sum.add(part, Vector<double>::Constant(2, 9.0));
  const auto [out, ones] = read(sum, true);
  CHECK(out(0, 0) == 4);
  CHECK(out(1, 0) == 2);
  CHECK(ones == Vector<double>::Ones(2));  // a mean of biases is the bias
  Matrix<double> one(1, 1);
  double row_ones = 0;
  sum.read(std::vector<Index>{1}, false, one, std::span(&row_ones, 1));
  CHECK(one(0, 0) == 6);
  CHECK(row_ones == 9);
}

TEST_CASE("maxima merge by maximum, and a NaN stays") {
  const auto part = [](float a, float b, float c) {
    Matrix<float> m(1, 3);
    m << a, b, c;
    return m;
  };
  const Vector<float> none = Vector<float>::Zero(1);
  ProjectedSum<float> left(1, 3, Reduction::maximum), right = left, empty = left;
  CHECK(read(left).first(0, 0) == -infinity_float);
  left.add(part(-3, nan_float, -infinity_float), none);
  left.add(part(-5, 2, -7), none);
  right.add(part(-4, 1, nan_float), none);
  for (const bool swapped : {false, true}) {
    ProjectedSum<float> merged = swapped ? right : left;
    merged.merge(empty);
    merged.merge(swapped ? left : right);
    const Matrix<float> out = read(merged).first;
    CHECK(out(0, 0) == -3);
    CHECK(std::isnan(out(0, 1)));
    CHECK(std::isnan(out(0, 2)));
    ProjectedSum<float> from_empty = empty;
    from_empty.merge(merged);
    CHECK(same_bits(read(from_empty).first, out));
    CHECK(read(left).first(0, 2) == -7);
  }
}

TEST_CASE("an infinite sum stays infinite and opposite infinities are not a number") {
  ProjectedSum<float> sum(1, 3, Reduction::sum);
  const Vector<float> zero = Vector<float>::Zero(1);
  Matrix<float> part(1, 3);
  for (int i = 0; i < 3; ++i) {
    part << (i == 1 ? infinity_float : 1.0F), (i == 1 ? -infinity_float : 2.0F),
        (i == 0 ? infinity_float : -infinity_float);
    sum.add(part, zero);
  }
  ProjectedSum<float> other(1, 3, Reduction::sum);
  part.setOnes();
  other.add(part, zero);
  other.add(part, zero);
  other.merge(sum);
  for (const ProjectedSum<float>* each : {&sum, &other}) {
    const Matrix<float> out = read(*each).first;
    CHECK(out(0, 0) == infinity_float);
    CHECK(out(0, 1) == -infinity_float);
    CHECK(std::isnan(out(0, 2)));
  }
}

TEST_CASE("sums of different shapes do not merge, and stay as they were") {
  ProjectedSum<float> sum(2, 3, Reduction::sum);
  sum.add(Matrix<float>::Ones(2, 3), Vector<float>::Ones(2));
  check_error([&] { sum.merge(ProjectedSum<float>(3, 3, Reduction::sum)); }, ErrorCode::shape_mismatch,
              "projected sum");
  check_error([&] { sum.merge(ProjectedSum<float>(2, 2, Reduction::sum)); }, ErrorCode::shape_mismatch,
              "projected sum");
  check_error([&] { sum.merge(ProjectedSum<float>(2, 3, Reduction::maximum)); }, ErrorCode::shape_mismatch,
              "projected sum");
  CHECK(read(sum).first == Matrix<float>::Ones(2, 3));
  sum.reset(1, 2, Reduction::sum);  // forgets
  CHECK(read(sum).first == Matrix<float>::Zero(1, 2));
  CHECK(sum.rows() == 1);
  CHECK(sum.width() == 2);
}

TEST_CASE("millions of parts lose nothing") {
  for (const float value : {0.7F, 1.0F}) {
    constexpr Index parts = 6'000'000;
    ProjectedSum<float> sum(1, 1, Reduction::sum);
    const Matrix<float> part = Matrix<float>::Constant(1, 1, value);
    const Vector<float> ones = Vector<float>::Ones(1);
    for (Index i = 0; i < parts; ++i) sum.add(part, ones);
    Matrix<float> out(1, 1);
    float all = 0;
    sum.read(std::vector<Index>{0}, false, out, std::span(&all, 1));
    const double exact = double{value} * parts;
    constexpr double u = std::numeric_limits<float>::epsilon() / 2;
    CHECK(std::abs(out(0, 0) - exact) <= (2 * u + 64 * u * u * parts) * exact);
    CHECK(all == parts);
  }
}
