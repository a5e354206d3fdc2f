#include <linformer/kernels/frozen_operand.hpp>

#include "kernels/reference.hpp"
#include "support/catch.hpp"

using namespace linformer;

TEST_CASE("a frozen operand holds a copy of the values, rounded or not", "[operand]") {
  Matrix<float> values = reference::Numbers(1).matrix<float>(7, 300);
  const Matrix<float> before = values;
  const FrozenOperand<float> full(values, Precision::full), half(values, Precision::bf16);
  values.setZero();
  Matrix<float> row(1, 300);
  for (Index i = 0; i < 7; ++i) {
    full.operand().read_row(i, row);
    CHECK(row == before.row(i));
    half.operand().read_row(i, row);
    CHECK(row == before.row(i).unaryExpr([](float value) { return from_bf16(to_bf16(value)); }));
  }
  CHECK(full.rows() == 7);
  CHECK(full.cols() == 300);
  CHECK(full.bytes() == 7 * 300 * 4);
  CHECK(half.bytes() == 8 * 300 * 2);  // the missing row is stored
  const FrozenOperand<float> panels(before, Precision::full, OperandLayout::panels);
  for (Index i = 0; i < 7; ++i) {
    panels.operand().read_row(i, row);
    CHECK(row == before.row(i));
  }
  CHECK(panels.cols() == 300);
  CHECK(panels.bytes() == 7 * 304 * 4);  // whole panels
  const FrozenOperand<float> copy = half;
  CHECK(copy.operand().words() == half.operand().words());
  CHECK(copy.operand().words().data() != half.operand().words().data());
}

TEST_CASE("bf16 is made of float alone", "[operand]") {
  const Matrix<double> values = Matrix<double>::Ones(2, 2);
  CHECK(FrozenOperand<double>(values, Precision::full).rows() == 2);
  try {
    const FrozenOperand<double> half(values, Precision::bf16);
    FAIL_CHECK("nothing was thrown");
  } catch (const Error& error) {
    CHECK(error.code() == ErrorCode::unsupported);
    CHECK(error.tensor() == "precision");
  }
}
