#pragma once

#include <linformer/core/batch.hpp>
#include <linformer/kernels/compute.hpp>

namespace linformer::inline LINFORMER_ABI {

/// How contributions of different tokens to a projected row combine.
enum class Reduction { sum, maximum };

/// The larger of two values, NaN if one of them is.
struct MaximumOrNan {
  template <Scalar T>
  T operator()(T a, T b) const {
    return a > b || a != a ? a : b;
  }
};

/// A map from the n tokens of a sequence to k rows, applied to some of its tokens at a time.
///
/// `accumulate(tokens, features, out, ones, compute)` combines E[:, tokens]·features into `out` (k × c) and, if
/// `ones` is not null, E[:, tokens]·1 into it (k): features is tokens.count × c, every position lies below `columns()`.
/// `commutes`: whether (E·X)·W = E·(X·W). `local`: whether each token reaches one row only, `row_of(position)`.
template <class P, class T>
concept SequenceProjection = requires(const P& projection, const Positions& tokens, const ConstMatrixRef<T>& features,
                                      MatrixRef<T> out, Vector<T>* ones, const Compute& compute) {
  { projection.rows() } -> std::same_as<Index>;
  { projection.columns() } -> std::same_as<Index>;
  { P::commutes } -> std::convertible_to<bool>;
  { P::local } -> std::convertible_to<bool>;
  { P::reduction } -> std::convertible_to<Reduction>;
  projection.accumulate(tokens, features, out, ones, compute);
};

/// The windows of pooling and convolution: token t of n belongs to the row i with ⌊i·n/k⌋ ≤ t < ⌊(i + 1)·n/k⌋.
class Windows {
 public:
  Windows(Index rows, Index columns) : rows_(rows), columns_(columns) {}

  [[nodiscard]] Index rows() const { return rows_; }
  [[nodiscard]] Index columns() const { return columns_; }
  [[nodiscard]] Index row_of(Index position) const { return ((position + 1) * rows_ - 1) / columns_; }
  [[nodiscard]] Index first(Index row) const { return row * columns_ / rows_; }

 private:
  Index rows_, columns_;
};

}  // namespace linformer::inline LINFORMER_ABI
