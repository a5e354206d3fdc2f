#pragma once

#include <linformer/core/error.hpp>

#include <Eigen/Core>

#include <concepts>
#include <functional>
#include <string>
#include <type_traits>

namespace linformer::inline LINFORMER_ABI {

/// The scalars that the library computes in.
template <class T>
concept Scalar = std::same_as<T, float> || std::same_as<T, double>;

/// A row-major Eigen matrix: a row is a token, a column a feature.
template <Scalar T>
using Matrix = Eigen::Matrix<T, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

/// A column vector: biases, row weights.
template <Scalar T>
using Vector = Eigen::Matrix<T, Eigen::Dynamic, 1>;

/// Reference to the rows of a row-major matrix whose rows may lie apart, such as a block of columns.
template <Scalar T>
using MatrixRef = Eigen::Ref<Matrix<T>, 0, Eigen::OuterStride<>>;

/// Read-only counterpart of `MatrixRef`. Binds any Eigen expression; one of another order is copied first.
template <Scalar T>
using ConstMatrixRef = Eigen::Ref<const Matrix<T>, 0, Eigen::OuterStride<>>;

/// Any Eigen expression of scalar `T`.
template <class E, class T>
concept MatrixExpression = std::derived_from<std::remove_cvref_t<E>, Eigen::MatrixBase<std::remove_cvref_t<E>>> &&
    std::same_as<typename std::remove_cvref_t<E>::Scalar, T>;

namespace detail {

/// Resizes a matrix or vector. Eigen's own `resize` leaves a dangling pointer behind where memory runs out.
/// @throws std::bad_alloc, with the matrix empty
template <class Values>
void resize(Values& values, Index rows, Index cols) {
  if (values.rows() == rows && values.cols() == cols) return;
  values = Values();
  values.resize(rows, cols);
}

/// @throws Error aliasing if the memory from the output's first to its last value overlaps that of an input
template <Scalar T>
void require_apart(const char* input_name, const ConstMatrixRef<T>& input, const char* output_name,
                   const ConstMatrixRef<T>& output) {
  if (input.size() == 0 || output.size() == 0) return;
  const auto end = [](const ConstMatrixRef<T>& rows) {
    return rows.data() + (rows.rows() - 1) * rows.outerStride() + rows.cols();
  };
  const std::less<const T*> before;
  require(
      !before(input.data(), end(output)) || !before(output.data(), end(input)), ErrorCode::aliasing, output_name,
      [&] { return std::string("memory apart from ") + input_name; }, [] { return std::string("overlapping memory"); });
}

}  // namespace detail

/// An Eigen expression of the same scalar as another.
template <class E, class Other>
concept SameScalarAs = std::same_as<typename E::Scalar, typename Other::Scalar>;

/// Row-major rows in memory: a `Matrix`, `Map`, `Ref` or block of one.
template <class E, class T>
concept RowMajorMemory = std::same_as<typename E::Scalar, T> &&(E::IsRowMajor != 0) &&
                         ((E::Flags & Eigen::DirectAccessBit) != 0) && int{E::InnerStrideAtCompileTime} == 1;

/// A nullable, copyable, non-owning view of row-major rows, for optional arguments. The viewed memory must outlive it.
template <Scalar T>
class MatrixView {
 public:
  MatrixView() = default;

  /// Views a row-major `Matrix`, `Map`, `Ref` or block. Evaluate other expressions into a `Matrix` first.
  template <RowMajorMemory<T> Derived>
  MatrixView(const Eigen::MatrixBase<Derived>& matrix)  // NOLINT(google-explicit-constructor): a view, like std::span
      : data_(matrix.derived().data()),
        rows_(matrix.rows()),
        cols_(matrix.cols()),
        stride_(matrix.derived().outerStride()),
        present_(true) {}

  [[nodiscard]] explicit operator bool() const noexcept { return present_; }
  [[nodiscard]] Index rows() const noexcept { return rows_; }
  [[nodiscard]] Index cols() const noexcept { return cols_; }
  [[nodiscard]] auto map() const {
    return Eigen::Map<const Matrix<T>, 0, Eigen::OuterStride<>>(data_, rows_, cols_, Eigen::OuterStride<>(stride_));
  }

 private:
  const T* data_ = nullptr;
  Index rows_ = 0, cols_ = 0, stride_ = 0;
  bool present_ = false;
};

}  // namespace linformer::inline LINFORMER_ABI
