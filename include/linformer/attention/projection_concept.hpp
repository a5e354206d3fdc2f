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
/// `commutes`: whether (E·X)·W = E·(X·W). `local`: whether each token reaches one row only; `for_each_row(tokens, f)`
/// then calls f(j, row) for each of the tokens in their order.
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

  template <class F>
  void for_each_row(const Positions& tokens, const F& f) const {
    for (Index j = 0; j < tokens.count; ++j) f(j, row_of(tokens[j]));
  }

 private:
  Index rows_, columns_;
};

/// Windows of a text, whose length m decides where they lie: those of r = min(k, m) rows, of which row i begins at
/// b(i) = i + ⌊(m − r)·(i/r)³⌋. First come single tokens, then windows that grow; a text of at most k tokens has one for
/// each. Chosen among the powers of i/r by what attention of MiniLM lost on reviews (docs/results.md).
class GrowingWindows {
 public:
  GrowingWindows(Index rows, Index columns) : rows_(rows), columns_(columns) {}

  [[nodiscard]] Index rows() const { return rows_; }
  [[nodiscard]] Index columns() const { return columns_; }
  /// Where a row begins among `rows` of a text of `length` tokens: b(row), exact while (m − r)·r³ < 2⁵³.
  [[nodiscard]] static Index first(Index row, Index rows, Index length) {
    const auto i = static_cast<double>(row), r = static_cast<double>(rows);
    return row + static_cast<Index>(static_cast<double>(length - rows) * i * i * i / (r * r * r));
  }

  template <class F>
  void for_each_row(const Positions& tokens, const F& f) const {
    const Index length = tokens.whole_extent(), rows = std::min(rows_, length);
    const auto begun = [&](Index row, Index position) { return row < rows && first(row, rows, length) <= position; };
    Index row = 0;
    for (Index step = tokens.count > 0 ? rows : 0; step > 0; step /= 2) {  // to that of the first token, by bisection
      while (begun(row + step, tokens[0])) row += step;
    }
    for (Index j = 0; j < tokens.count; ++j) {
      while (begun(row + 1, tokens[j])) ++row;
      f(j, row);
    }
  }

 private:
  Index rows_, columns_;
};

}  // namespace linformer::inline LINFORMER_ABI
