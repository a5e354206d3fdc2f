#include <linformer/kernels/product.hpp>

#include "core/thread_count.hpp"
#include "kernels/reference.hpp"
#include "support/catch.hpp"
#include "support/isa.hpp"

#include <cmath>
#include <initializer_list>
#include <limits>
#include <thread>

using namespace linformer;
using reference::Framed;
using reference::Numbers;

namespace {

/// (m × p)·(p × n).
struct Sizes {
  Index m, p, n;
};

// No rows, depth or columns; vectors; sizes beside those of registers and packets; sizes that Eigen multiplies without
// packing, with it, and in several blocks of depth, rows and columns.
constexpr Sizes all_sizes[] = {{0, 3, 4},   {3, 0, 4},    {3, 4, 0},     {0, 0, 0},     {1, 1, 1},     {1, 7, 1},
                               {1, 64, 9},  {9, 64, 1},   {1, 5000, 1},  {5, 1, 6},     {2, 3, 4},     {3, 5, 7},
                               {8, 8, 8},   {7, 17, 13},  {16, 4, 48},   {33, 31, 9},   {15, 129, 65}, {64, 64, 64},
                               {13, 1, 77}, {3, 9001, 5}, {129, 100, 3}, {70, 515, 66}, {24, 1100, 31}};

/// |fl(a·b) − a·b| ≤ γ_p·|a||b|: an element takes p multiplications and p − 1 additions in any order, each term at most
/// p of these roundings (Higham 2002, Section 3.5). Adding to what is there is one more. Eigen's factor 1 and its first
/// addition to 0 are exact.
template <Scalar T>
void check_products(const Sizes& sizes) {
  const auto [m, p, n] = sizes;
  CAPTURE(m, p, n);
  Numbers numbers(static_cast<std::uint64_t>(m * 1000003 + p * 1009 + n));
  const Matrix<T> a = numbers.matrix<T>(m, p), b = numbers.matrix<T>(p, n), start = numbers.matrix<T>(m, n, 3);
  const Matrix<T> a_transposed = a.transpose();
  const Matrix<T> garbage = Matrix<T>::Constant(m, n, std::numeric_limits<T>::quiet_NaN());
  const reference::Exact exact = reference::product(a, b), exact_sum = reference::product(a, b, start);
  const long double bound = reference::gamma<T>(p), bound_of_sum = reference::gamma<T>(p + 1);
  const Framed<T> fa(a_transposed), fb(b);
  for (const Isa isa : supported_isas()) {
    CAPTURE(static_cast<int>(isa));
    Matrix<T> out = garbage;
    multiply<T>(isa, a_transposed, b, out);
    CHECK(reference::worst_error(out, exact, bound) <= 1);
    out = start;
    multiply_add<T>(isa, a_transposed, b, out);
    CHECK(reference::worst_error(out, exact_sum, bound_of_sum) <= 1);

    Framed<T> fout(garbage);
    multiply<T>(isa, fa.inside(), fb.inside(), fout.inside());
    CHECK(reference::worst_error(fout.inside(), exact, bound) <= 1);
    fout.inside() = start;
    multiply_add<T>(isa, fa.inside(), fb.inside(), fout.inside());
    CHECK(reference::worst_error(fout.inside(), exact_sum, bound_of_sum) <= 1);
    CHECK(fout.frame_is_intact());
  }
}

/// What operands of T can be rounded to.
template <Scalar T>
constexpr int precisions = std::same_as<T, float> ? 2 : 1;

/// Each product of each path and precision by one number: a·b.
template <Scalar T>
Matrix<T> product_by(int kernel, const Matrix<T>& a, const Matrix<T>& b) {
  const auto isas = supported_isas();
  Workspace workspace;
  const Compute compute{workspace, isas[static_cast<std::size_t>(kernel / 2) % isas.size()],
                        static_cast<std::size_t>(kernel / 2) < isas.size() ? Precision::full : Precision::bf16};
  const Matrix<T> transposed = a.transpose();
  const Operand<T> left = operand<T>(transposed, compute), right = operand<T>(b, compute);
  Matrix<T> out = Matrix<T>::Zero(a.rows(), b.cols());
  if (kernel % 2 == 0) {
    multiply<T>(compute.isa, left, right, out);
  } else {
    multiply_add<T>(compute.isa, left, right, out);
  }
  return out;
}

template <Scalar T>
int kernels() {
  return 2 * precisions<T> * static_cast<int>(supported_isas().size());
}

/// Multiples of 1/128 in [−1, 1], which bf16 holds as they are.
template <Scalar T>
Matrix<T> short_numbers(Numbers& numbers, Index rows, Index cols) {
  return numbers.matrix<T>(rows, cols, 128).array().round() / T{128};
}

constexpr Sizes finite_sizes[] = {{2, 3, 4}, {1, 40, 30}, {30, 40, 1}, {33, 50, 35}};

}  // namespace

TEMPLATE_TEST_CASE("products are within the bound of their depth", "[product]", float, double) {
  for (const Sizes& sizes : all_sizes) check_products<TestType>(sizes);
}

TEMPLATE_TEST_CASE("products of small integers are exact", "[product]", float, double) {
  for (const auto& [m, p, n] : finite_sizes) {
    Matrix<TestType> a(m, p), b(p, n);
    for (Index i = 0; i < a.size(); ++i) a.data()[i] = static_cast<TestType>(i % 7 - 3);
    for (Index i = 0; i < b.size(); ++i) b.data()[i] = static_cast<TestType>(i % 5 - 2);
    const auto exact = reference::product(a, b).value.template cast<TestType>().eval();
    for (int kernel = 0; kernel < kernels<TestType>(); ++kernel) CHECK(product_by(kernel, a, b) == exact);
  }
}

TEMPLATE_TEST_CASE("terms beside a product are one rounding each", "[product]", float, double) {
  using T = TestType;
  for (const auto& [m, p, n] : all_sizes) {
    Numbers numbers(static_cast<std::uint64_t>(7 * m + 5 * p + n));
    const Matrix<T> a = short_numbers<T>(numbers, p, m), b = short_numbers<T>(numbers, p, n);
    const Matrix<T> start = numbers.matrix<T>(m, n, 3);
    const Matrix<T> kept = numbers.matrix<T>(1, n), row_bias = numbers.matrix<T>(1, m, 2),
                    column_bias = numbers.matrix<T>(1, n, 2), factor = numbers.matrix<T>(1, n, 4);
    const reference::Exact alone = reference::product<T>(a.transpose(), b);
    for (int which = 0; which < 32; ++which) {
      const auto has = [&](int bit) { return (which >> bit & 1) != 0; };
      if (has(1) && !has(0)) continue;  // nothing is kept where nothing is added to
      reference::Exact exact = alone;
      for (Index i = 0; i < m; ++i) {
        for (Index j = 0; j < n; ++j) {
          long double& value = exact.value(i, j);
          long double& magnitude = exact.magnitude(i, j);
          const auto add = [&](long double term) {
            value += term;
            magnitude += std::abs(term);
          };
          if (has(0)) add(static_cast<long double>(start(i, j)) * (has(1) ? kept(0, j) : T{1}));
          if (has(2)) add(row_bias(0, i));
          if (has(3)) add(column_bias(0, j));
          if (has(4)) value *= factor(0, j), magnitude *= std::abs(static_cast<long double>(factor(0, j)));
        }
      }
      for (const Isa isa : supported_isas()) {
        for (int precision = 0; precision < precisions<T>; ++precision) {
          CAPTURE(m, p, n, name_of(isa), precision, which);
          Workspace workspace;
          const Compute compute{workspace, isa, precision == 0 ? Precision::full : Precision::bf16};
          Framed<T> out(has(0) ? start : Matrix<T>::Constant(m, n, std::numeric_limits<T>::quiet_NaN()));
          multiply<T>(isa, operand<T>(a, compute), operand<T>(b, compute), out.inside(),
                      {.add = has(0),
                       .kept = has(1) ? kept.data() : nullptr,
                       .row_bias = has(2) ? row_bias.data() : nullptr,
                       .column_bias = has(3) ? column_bias.data() : nullptr,
                       .column_factor = has(4) ? factor.data() : nullptr});
          // Pairs may be summed apart, hence one rounding more.
          CHECK(reference::worst_error(out.inside(), exact, reference::gamma<T>(p + 5 + precision)) <= 1);
          CHECK(out.frame_is_intact());
        }
      }
    }
  }
}

TEMPLATE_TEST_CASE("NaN reaches the row or column that it belongs to and no other", "[product]", float, double) {
  using T = TestType;
  constexpr T nan = std::numeric_limits<T>::quiet_NaN();
  for (const auto& [m, p, n] : finite_sizes) {
    for (int kernel = 0; kernel < kernels<T>(); ++kernel) {
      CAPTURE(m, p, n, kernel);
      Numbers numbers(5);
      Matrix<T> a = short_numbers<T>(numbers, m, p), b = short_numbers<T>(numbers, p, n);
      const reference::Exact exact = reference::product(a, b);
      a(m - 1, p / 2) = nan;
      Matrix<T> out = product_by(kernel, a, b);
      CHECK(out.row(m - 1).array().isNaN().all());
      out.row(m - 1) = exact.value.row(m - 1).template cast<T>();
      CHECK(reference::worst_error(out, exact, reference::gamma<T>(p + 1)) <= 1);

      a = short_numbers<T>(numbers, m, p);
      b(p - 1, n / 2) = nan;
      out = product_by(kernel, a, b);
      CHECK(out.col(n / 2).array().isNaN().all());
      CHECK(out.array().isNaN().count() == m);
    }
  }
}

TEMPLATE_TEST_CASE("infinities propagate as in IEEE sums", "[product]", float, double) {
  using T = TestType;
  constexpr T infinity = std::numeric_limits<T>::infinity();
  for (const auto& [m, p, n] : finite_sizes) {
    for (int kernel = 0; kernel < kernels<T>(); ++kernel) {
      CAPTURE(m, p, n, kernel);
      Matrix<T> a = Matrix<T>::Ones(m, p), b = Matrix<T>::Ones(p, n);
      a(0, 1) = infinity;
      b(1, 0) = T{-2};
      Matrix<T> out = product_by(kernel, a, b);
      CHECK(out(0, 0) == -infinity);
      if (n > 1) CHECK((out.row(0).tail(n - 1).array() == infinity).all());
      CHECK(out.bottomRows(m - 1).allFinite());

      b(1, 0) = T{0};  // inf · 0
      CHECK(std::isnan(product_by(kernel, a, b)(0, 0)));

      b(1, 0) = T{1};
      a(0, 2) = -infinity;  // inf − inf
      out = product_by(kernel, a, b);
      CHECK(out.row(0).array().isNaN().all());
      CHECK(out.bottomRows(m - 1).allFinite());
    }
  }
}

TEST_CASE("an overflowing product is infinite, not an error", "[product]") {
  for (int kernel = 0; kernel < kernels<float>(); ++kernel) {
    const Matrix<float> a = Matrix<float>::Constant(20, 30, 1e30F), b = Matrix<float>::Constant(30, 20, 1e30F);
    CHECK((product_by(kernel, a, b).array() == std::numeric_limits<float>::infinity()).all());
  }
}

// Compiled with OpenMP, Eigen would spread a product of this size over threads.
TEST_CASE("a product starts no thread and leaves OpenMP's settings alone", "[product]") {
  bool right = true, alone = true, settings_kept = true;
  // In a thread of its own, as OpenMP keeps what it has started before for the thread that asked.
  std::thread([&] {
    const auto before = thread_count();
#ifdef _OPENMP
    omp_set_num_threads(3);
#endif
    const Matrix<float> a = Matrix<float>::Ones(300, 300);
    for (int kernel = 0; kernel < kernels<float>(); ++kernel) {
      right = right && product_by(kernel, a, a)(299, 299) == 300;
    }
    alone = thread_count() == before;
#ifdef _OPENMP
    settings_kept = omp_get_max_threads() == 3;
#endif
  }).join();
  CHECK(right);
  CHECK(alone);
  CHECK(settings_kept);
}

TEMPLATE_TEST_CASE("a transpose is exact on every path and writes nothing beside it", "[product]", float, double) {
  for (const auto& [rows, ignored, cols] : all_sizes) {
    const Matrix<TestType> in = Numbers(9).matrix<TestType>(rows, cols);
    for (const Isa isa : supported_isas()) {
      CAPTURE(rows, cols, static_cast<int>(isa));
      Framed<TestType> out(Matrix<TestType>::Zero(cols, rows));
      transpose<TestType>(isa, Framed<TestType>(in).inside(), out.inside());
      CHECK(out.inside() == in.transpose());
      CHECK(out.frame_is_intact());
    }
  }
}

TEST_CASE("an element's bits depend neither on its place in the result nor on its neighbours", "[product]") {
  Numbers numbers(11);
  const Matrix<float> a = numbers.matrix<float>(1100, 60), b = numbers.matrix<float>(1100, 130);
  const Matrix<float> row_bias = numbers.matrix<float>(1, 60), column_bias = numbers.matrix<float>(1, 130),
                      factor = numbers.matrix<float>(1, 130), kept = numbers.matrix<float>(1, 130);
  const Matrix<float> start = numbers.matrix<float>(60, 130);
  for (const Isa isa : supported_isas()) {
    if (isa == Isa::eigen) continue;  // Eigen sums remainders in another order
    for (const Precision precision : {Precision::full, Precision::bf16}) {
      Workspace workspace;
      const Compute compute{workspace, isa, precision};
      const Operand<float> left = operand<float>(a, compute), right = operand<float>(b, compute);
      Matrix<float> whole = start;
      multiply<float>(isa, left, right, whole, {true, kept.data(), row_bias.data(), column_bias.data(), factor.data()});
      for (const Index first : {0, 1, 5, 40}) {
        for (const Index count : {1, 3, 8, 15, 20}) {
          CAPTURE(name_of(isa), static_cast<int>(precision), first, count);
          Matrix<float> part = start.block(first, 2 * first, count, 2 * count);
          multiply<float>(isa, left.middle_cols(first, count), right.middle_cols(2 * first, 2 * count), part,
                          {true, kept.data() + 2 * first, row_bias.data() + first, column_bias.data() + 2 * first,
                           factor.data() + 2 * first});
          CHECK(part == whole.block(first, 2 * first, count, 2 * count));
        }
      }
    }
  }
}
