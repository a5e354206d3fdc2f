#pragma once

#include <linformer/core/workspace.hpp>

#include <vector>

namespace linformer::inline LINFORMER_ABI {

/// Keys and values that queries attend to: K̄ and V̄ of a projected context, or K and V themselves in softmax attention.
template <Scalar T>
class KeysValues {
 public:
  /// The rows of one head that take part in its softmax.
  struct Head {
    Index rows = 0;              ///< how many
    Index columns_of_p = 0;      ///< columns of P̄: k; in softmax attention, the context's length
    std::vector<Index> columns;  ///< column of P̄ of each row
    Vector<T> score_bias;        ///< added to the scores; empty for none

    [[nodiscard]] Index column(Index row) const { return columns[static_cast<std::size_t>(row)]; }
  };

  std::vector<Head> heads;

  /// Makes room for `rows` keys and values of `width` = h·d, whose contents are not determined.
  void resize(Index rows, Index width) {
    rows_ = rows;
    width_ = width;
    detail::resize(keys_, width, detail::padded_columns<T>(rows));
    detail::resize(values_, rows, detail::padded_columns<T>(width));
  }

  /// Most rows of any head.
  [[nodiscard]] Index rows() const { return rows_; }
  /// h·d
  [[nodiscard]] Index width() const { return width_; }
  /// h·d × rows, a key a column, head by head, scaled by 1/√d.
  [[nodiscard]] auto keys() const { return keys_.leftCols(rows_); }
  [[nodiscard]] auto keys() { return keys_.leftCols(rows_); }
  /// rows × h·d, a value a row, head by head.
  [[nodiscard]] auto values() const { return values_.leftCols(width_); }
  [[nodiscard]] auto values() { return values_.leftCols(width_); }

 private:
  Index rows_ = 0, width_ = 0;
  Matrix<T> keys_, values_;  // their rows lie apart as scratch memory's do
};

}  // namespace linformer::inline LINFORMER_ABI
