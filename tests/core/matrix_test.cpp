#include <linformer/core/matrix.hpp>

#include "support/catch.hpp"

#include <concepts>
#include <type_traits>

using namespace linformer;

namespace {

template <class T, class Expression>
constexpr bool views = std::constructible_from<MatrixView<T>, const Expression&>;

using ColumnMajor = Eigen::MatrixXf;
using RowMajor = Matrix<float>;
using Strided = Eigen::Map<RowMajor, 0, Eigen::OuterStride<>>;
using EverySecond = Eigen::Map<RowMajor, 0, Eigen::Stride<Eigen::Dynamic, 2>>;

template <class View>
bool shows(const View& view, const RowMajor& expected) {
  return view.rows() == expected.rows() && view.cols() == expected.cols() && view.map() == expected;
}

}  // namespace

TEST_CASE("scalars are float and double", "[matrix]") {
  CHECK(Scalar<float>);
  CHECK(Scalar<double>);
  CHECK_FALSE(Scalar<long double>);
  CHECK_FALSE(Scalar<int>);
  CHECK_FALSE(Scalar<const float>);
}

TEST_CASE("Matrix is Eigen's row-major matrix and no type of ours", "[matrix]") {
  CHECK(std::is_same_v<Matrix<double>, Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>>);
}

TEST_CASE("MatrixExpression takes expressions of its scalar only", "[matrix]") {
  CHECK(MatrixExpression<RowMajor, float>);
  CHECK(MatrixExpression<const ColumnMajor&, float>);
  CHECK(MatrixExpression<decltype(2.0F * ColumnMajor().transpose()), float>);
  CHECK_FALSE(MatrixExpression<ColumnMajor, double>);
  CHECK_FALSE(MatrixExpression<Eigen::ArrayXXf, float>);
  CHECK_FALSE(MatrixExpression<float, float>);
}

TEST_CASE("MatrixView binds row-major memory", "[matrix]") {
  CHECK(views<float, RowMajor>);
  CHECK(views<float, Strided>);
  CHECK(views<float, Eigen::Map<const RowMajor>>);
  CHECK(views<float, MatrixRef<float>>);
  CHECK(views<float, ConstMatrixRef<float>>);
  CHECK(views<float, Eigen::RowVectorXf>);
  CHECK(views<float, decltype(std::declval<const RowMajor&>().middleRows(0, 1))>);
  CHECK(views<float, decltype(std::declval<RowMajor&>().block(0, 0, 1, 1))>);
  CHECK(views<float, decltype(std::declval<RowMajor&>().row(0))>);
  CHECK(views<double, Matrix<double>>);
}

TEST_CASE("MatrixView refuses what is not row-major memory of its scalar", "[matrix]") {
  CHECK_FALSE(views<float, ColumnMajor>);
  CHECK_FALSE(views<float, Eigen::VectorXf>);
  CHECK_FALSE(views<float, Matrix<double>>);
  CHECK_FALSE(views<double, RowMajor>);
  CHECK_FALSE(views<float, Eigen::ArrayXXf>);
  CHECK_FALSE(views<float, decltype(std::declval<RowMajor&>().transpose())>);
  CHECK_FALSE(views<float, decltype(std::declval<RowMajor&>() + std::declval<RowMajor&>())>);
  CHECK_FALSE(views<float, decltype(std::declval<RowMajor&>() * std::declval<RowMajor&>())>);
  CHECK_FALSE(views<float, decltype(std::declval<RowMajor&>().col(0))>);
}

TEST_CASE("MatrixView refuses rows whose elements lie apart", "[matrix]") {
  CHECK_FALSE(views<float, EverySecond>);
  CHECK_FALSE(views<float, Eigen::Map<RowMajor, 0, Eigen::Stride<Eigen::Dynamic, Eigen::Dynamic>>>);
  CHECK_FALSE(views<float, decltype(std::declval<ColumnMajor&>().row(0))>);
}

TEST_CASE("MatrixView shows the memory it was given", "[matrix]") {
  RowMajor matrix(3, 4);
  matrix << 0, 1, 2, 3, 10, 11, 12, 13, 20, 21, 22, 23;
  CHECK(shows(MatrixView<float>(matrix), matrix));
  CHECK(MatrixView<float>(matrix).map().data() == matrix.data());
  CHECK(shows(MatrixView<float>(matrix.block(1, 1, 2, 2)), matrix.block(1, 1, 2, 2)));
  CHECK(shows(MatrixView<float>(matrix.row(2)), matrix.row(2)));
  const Strided first_columns(matrix.data(), 3, 2, Eigen::OuterStride<>(4));
  CHECK(shows(MatrixView<float>(first_columns), matrix.leftCols(2)));
  const ConstMatrixRef<float> ref(matrix.rightCols(3));
  const MatrixView<float> view = ref;
  CHECK(shows(view, matrix.rightCols(3)));
  matrix(1, 2) = 99;
  CHECK(view.map()(1, 1) == 99);
  const MatrixView<float> copy = view;
  CHECK(copy.map().data() == view.map().data());
}

TEST_CASE("MatrixView tells no matrix from an empty one", "[matrix]") {
  const MatrixView<double> none;
  CHECK_FALSE(bool(none));
  CHECK(none.rows() == 0);
  CHECK(none.cols() == 0);
  CHECK(none.map().size() == 0);
  const Matrix<double> empty(0, 7);
  const MatrixView<double> view = empty;
  CHECK(bool(view));
  CHECK(view.rows() == 0);
  CHECK(view.cols() == 7);
  CHECK_FALSE(std::convertible_to<MatrixView<double>, bool>);
}

TEST_CASE("MatrixRef binds memory in place, ConstMatrixRef any expression", "[matrix]") {
  CHECK(std::constructible_from<MatrixRef<float>, RowMajor&>);
  CHECK_FALSE(std::constructible_from<MatrixRef<float>, ColumnMajor&>);
  CHECK_FALSE(std::constructible_from<MatrixRef<float>, const RowMajor&>);
  ColumnMajor columns(2, 3);
  columns << 1, 2, 3, 4, 5, 6;
  const ConstMatrixRef<float> copied(columns);
  CHECK(copied == columns);
  const RowMajor rows = columns;
  const ConstMatrixRef<float> bound(rows.middleCols(1, 2));
  CHECK(bound.data() == rows.data() + 1);
}
