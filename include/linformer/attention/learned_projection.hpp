#pragma once

#include <linformer/attention/projection_concept.hpp>
#include <linformer/kernels/product.hpp>

namespace linformer::inline LINFORMER_ABI {

/// A dense k × n matrix, as the paper trains it. A sequence of m < n tokens uses its first m columns, which equals
/// padding the sequence with zeros.
template <Scalar T>
struct LearnedProjection {
  static constexpr bool commutes = true;
  static constexpr bool local = false;
  static constexpr Reduction reduction = Reduction::sum;

  Matrix<T> weight;  ///< k × n

  [[nodiscard]] Index rows() const { return weight.rows(); }
  [[nodiscard]] Index columns() const { return weight.cols(); }

  void accumulate(const Positions& tokens, const ConstMatrixRef<T>& features, MatrixRef<T> out, Vector<T>* ones,
                  Workspace& workspace) const {
    if (tokens.list == nullptr) {
      accumulate_columns(weight.middleCols(tokens.first, tokens.count), features, out, ones);
      return;
    }
    const Workspace::Scope scope(workspace);
    auto columns = workspace.matrix<T>(rows(), tokens.count);
    for (Index i = 0; i < rows(); ++i) {
      for (Index j = 0; j < tokens.count; ++j) columns(i, j) = weight(i, tokens[j]);
    }
    accumulate_columns(columns, features, out, ones);
  }

 private:
  static void accumulate_columns(const ConstMatrixRef<T>& columns, const ConstMatrixRef<T>& features, MatrixRef<T> out,
                                 Vector<T>* ones) {
    multiply_add<T>(columns, features, out);
    if (ones != nullptr) {
      for (Index i = 0; i < columns.rows(); ++i) {
        T sum{0};
        for (Index j = 0; j < columns.cols(); ++j) sum += columns(i, j);
        (*ones)(i) += sum;
      }
    }
  }
};

}  // namespace linformer::inline LINFORMER_ABI
