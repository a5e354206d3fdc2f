#pragma once

#include <linformer/core/matrix.hpp>

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
  Matrix<T> keys;    ///< h·d × most rows, a key a column, head by head, scaled by 1/√d
  Matrix<T> values;  ///< most rows × h·d, a value a row
};

}  // namespace linformer::inline LINFORMER_ABI
