#include <linformer/kernels/operand.hpp>

#include "kernels/reference.hpp"
#include "support/catch.hpp"
#include "support/isa.hpp"

#include <linformer/kernels/frozen_operand.hpp>
#include <linformer/kernels/product.hpp>

#include <bit>
#include <cmath>

using namespace linformer;
using reference::Framed;
using reference::Numbers;

namespace {

/// The nearest bf16 by search: of the two neighbours of a value, the closer one, of equally close ones the even one.
float nearest_bf16(float value) {
  const auto below = std::bit_cast<std::uint32_t>(value) & 0xFFFF0000U;  // towards zero
  const float low = std::bit_cast<float>(below), high = std::bit_cast<float>(below + 0x10000U);
  const double to_low = std::abs(double{value} - double{low});
  // Beyond the largest finite value the next step would be 2^128.
  const double to_high = std::isinf(high) ? 0x1p128 - std::abs(double{value}) : std::abs(double{high} - double{value});
  if (to_low != to_high) return to_low < to_high ? low : high;
  return (below >> 16) % 2 == 0 ? low : high;
}

Matrix<float> rounded(const Matrix<float>& values) {
  return values.unaryExpr([](float value) { return from_bf16(to_bf16(value)); });
}

}  // namespace

TEST_CASE("bf16 is the nearest, ties to even", "[operand]") {
  std::uint32_t bits = 1;
  for (int i = 0; i < 200'000; ++i) {
    bits = bits * 1664525U + 1013904223U;
    // Half of them ties, or beside one.
    const std::uint32_t pattern = i % 2 == 0 ? bits : (bits & 0xFFFF0000U) + 0x7FFFU + bits % 3;
    const auto value = std::bit_cast<float>(pattern);
    if (!std::isfinite(value)) continue;
    CAPTURE(pattern);
    REQUIRE(from_bf16(to_bf16(value)) == nearest_bf16(value));
  }
  for (const float value : {0.0F, -0.0F, 1.0F, -2.5F, std::numeric_limits<float>::infinity()}) {
    CHECK(std::bit_cast<std::uint32_t>(from_bf16(to_bf16(value))) == std::bit_cast<std::uint32_t>(value));
  }
  CHECK(std::isnan(from_bf16(to_bf16(std::numeric_limits<float>::quiet_NaN()))));
  CHECK(std::isnan(from_bf16(to_bf16(std::bit_cast<float>(0x7F800001U)))));  // whose upper half is infinity's
}

TEST_CASE("pairs hold two rows each, the same on every path", "[operand]") {
  for (const Index rows : {0, 1, 2, 5, 64}) {
    for (const Index cols : {1, 7, 8, 16, 33}) {
      Matrix<float> values = Numbers(3).matrix<float>(rows, cols, 1e3);
      if (rows > 0) values(rows - 1, cols / 2) = std::numeric_limits<float>::quiet_NaN();
      for (const Isa isa : supported_isas()) {
        CAPTURE(rows, cols, name_of(isa));
        Framed<float> words(Matrix<float>::Zero((rows + 1) / 2, cols));
        pair_rows(isa, Framed<float>(values).inside(), words.inside());
        CHECK(words.frame_is_intact());
        const Operand<float> operand(words.inside(), rows, Precision::bf16);
        CHECK(operand.rows() == rows);
        CHECK(operand.cols() == cols);
        Matrix<float> row(1, cols);
        for (Index i = 0; i < rows; ++i) {
          operand.read_row(i, row);
          for (Index j = 0; j < cols; ++j) {
            const float expected = from_bf16(to_bf16(values(i, j)));
            CHECK((row(0, j) == expected || (std::isnan(expected) && std::isnan(row(0, j)))));
          }
        }
        if (rows % 2 == 1) {  // the missing row is zero
          for (Index j = 0; j < cols; ++j) {
            CHECK(std::bit_cast<std::uint32_t>(words.inside()(rows / 2, j)) >> 16 == 0);
          }
        }
      }
    }
  }
}

TEST_CASE("parts of an operand are those of its values", "[operand]") {
  const Matrix<float> values = Numbers(4).matrix<float>(9, 12);
  Matrix<float> words(5, 12), row(1, 3);
  pair_rows(Isa::eigen, values, words);
  for (const Precision precision : {Precision::full, Precision::bf16}) {
    const Operand<float> whole =
        precision == Precision::full ? Operand<float>(values) : Operand<float>(words, 9, precision);
    const Operand<float> part = whole.middle_rows(4, 5).middle_cols(2, 3);
    CHECK(part.rows() == 5);
    CHECK(part.cols() == 3);
    for (Index i = 0; i < 5; ++i) {
      part.read_row(i, row);
      const Matrix<float> expected = values.block(4 + i, 2, 1, 3);
      CHECK(row == (precision == Precision::full ? expected : rounded(expected)));
    }
  }
}

TEST_CASE("a product of bf16 is the product of the rounded values, and near that of the values", "[operand]") {
  struct Sizes {
    Index m, p, n;
  };
  for (const auto& [m, p, n] : {Sizes{1, 1, 1}, Sizes{3, 5, 7}, Sizes{8, 64, 48}, Sizes{33, 31, 9}, Sizes{70, 515, 66},
                                Sizes{4, 2, 24}, Sizes{5, 0, 3}}) {
    Numbers numbers(static_cast<std::uint64_t>(m + p + n));
    const Matrix<float> a = numbers.matrix<float>(p, m), b = numbers.matrix<float>(p, n);
    const Matrix<float> start = numbers.matrix<float>(m, n, 3);
    const Matrix<float> rounded_a = rounded(a).transpose(), rounded_b = rounded(b), a_transposed = a.transpose();
    const reference::Exact of_rounded = reference::product(rounded_a, rounded_b);
    const reference::Exact sum_of_rounded = reference::product(rounded_a, rounded_b, start);
    const reference::Exact of_values = reference::product(a_transposed, b);
    for (const Isa isa : supported_isas()) {
      CAPTURE(m, p, n, name_of(isa));
      Workspace workspace;
      const Compute compute{workspace, isa, Precision::bf16};
      const Operand<float> left = operand<float>(a, compute), right = operand<float>(b, compute);
      Framed<float> out(Matrix<float>::Constant(m, n, std::numeric_limits<float>::quiet_NaN()));
      multiply<float>(isa, left, right, out.inside());
      // A pair may be summed apart, hence one rounding more than terms.
      const long double gamma = reference::gamma<float>(p + 1), u = 0x1p-8L;
      CHECK(reference::worst_error(out.inside(), of_rounded, gamma) <= 1);
      CHECK(reference::worst_error(out.inside(), of_values, gamma * (1 + u) * (1 + u) + 2 * u + u * u) <= 1);
      out.inside() = start;
      multiply_add<float>(isa, left, right, out.inside());
      CHECK(reference::worst_error(out.inside(), sum_of_rounded, reference::gamma<float>(p + 2)) <= 1);
      CHECK(out.frame_is_intact());
    }
  }
}

TEST_CASE("in full precision an operand is a view of the values", "[operand]") {
  const Matrix<double> values = Numbers(5).matrix<double>(4, 3);
  Workspace workspace;
  const Operand<double> view = operand<double>(values, {workspace, Isa::eigen});
  CHECK(view.words().data() == values.data());
  CHECK(workspace.capacity() == 0);
}

TEST_CASE("an operand in panels gives the bits of one in rows, and parts of it too", "[operand]") {
  struct Sizes {
    Index m, p, n;
  };
  // Columns: none beside whole tiles, one to three vectors beside them, single ones.
  for (const auto& [m, p, n] : {Sizes{1, 1, 1}, Sizes{19, 7, 64}, Sizes{40, 300, 64}, Sizes{41, 66, 113},
                                Sizes{16, 30, 32}, Sizes{300, 20, 80}, Sizes{13, 515, 70}}) {
    Numbers numbers(static_cast<std::uint64_t>(m + p + n));
    const Matrix<float> rows_of_a = numbers.matrix<float>(m, p), a = rows_of_a.transpose();
    const Matrix<float> b = numbers.matrix<float>(p, n), start = numbers.matrix<float>(m, n);
    for (const Isa isa : supported_isas()) {
      for (const Precision precision : {Precision::full, Precision::bf16}) {
        CAPTURE(m, p, n, name_of(isa), precision);
        Workspace workspace;
        const Compute compute{workspace, isa, precision};
        const Operand<float> right = operand<float>(b, compute), in_rows = operand<float>(a, compute);
        const FrozenOperand<float> frozen(a, precision, OperandLayout::panels);
        const Operand<float> in_panels =
            precision == Precision::full ? transposed_in_panels<float>(rows_of_a, compute) : frozen.operand();
        const auto product = [&](const Operand<float>& left, const Operand<float>& right_part) {
          Framed<float> out(start.topRows(left.cols()));
          multiply_add<float>(isa, left, right_part, out.inside());
          CHECK(out.frame_is_intact());
          return Matrix<float>(out.inside());
        };
        CHECK(frozen.operand().in_panels());
        CHECK(in_panels.in_panels() == (precision == Precision::bf16 || isa != Isa::eigen));
        CHECK(product(in_panels, right) == product(in_rows, right));
        CHECK(product(frozen.operand(), right) == product(in_rows, right));
        const Index from = m / 16 * 8, to = p / 4 * 2;
        CHECK(product(in_panels.middle_cols(from, m - from), right) ==
              product(in_rows.middle_cols(from, m - from), right));
        CHECK(product(in_panels.middle_rows(to, p - to), right.middle_rows(to, p - to)) ==
              product(in_rows.middle_rows(to, p - to), right.middle_rows(to, p - to)));
        Matrix<float> row(1, m), expected(1, m);
        in_panels.read_row(p - 1, row);
        in_rows.read_row(p - 1, expected);
        CHECK(row == expected);
      }
    }
  }
}
