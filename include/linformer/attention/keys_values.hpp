#pragma once

#include <linformer/core/workspace.hpp>

#include <vector>

namespace linformer::inline LINFORMER_ABI {

/// Keys and values that queries attend to: K̄ and V̄ of a projected context, or K and V themselves in softmax attention.
template <Scalar T>
struct KeysValues {
  /// The rows of one head that take part in its softmax.
  struct Head {
    Index rows = 0;              ///< how many
    Index columns_of_p = 0;      ///< columns of P̄: k; in softmax attention, the context's length
    std::vector<Index> columns;  ///< column of P̄ of each row
    Vector<T> score_bias;        ///< added to the scores; empty for none

    [[nodiscard]] Index column(Index row) const { return columns[static_cast<std::size_t>(row)]; }
  };

  std::vector<Head> heads;
  Index most_rows = 0;  ///< of any head
  Matrix<T> keys;       ///< h·d × most_rows and padding, a key a column, head by head, scaled by 1/√d
  Matrix<T> values;     ///< most_rows × h·d and padding, a value a row

  /// Makes room for `rows` keys and values of `width` = h·d, whose contents are not determined.
  void resize(Index rows, Index width) {
    most_rows = rows;
    keys.resize(width, detail::padded_columns<T>(rows));
    values.resize(rows, detail::padded_columns<T>(width));
  }
};

}  // namespace linformer::inline LINFORMER_ABI
