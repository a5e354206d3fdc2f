#pragma once

#include <linformer/core/batch.hpp>
#include <linformer/parallel/combine.hpp>

#include <algorithm>

namespace linformer::inline LINFORMER_ABI {

/// What a classifier reads of a sequence.
enum class Pooling { first_token, mean };

/// One vector for each sequence: of its first token, or the mean over its tokens; zero for one without tokens.
/// @param hidden rows × D
/// @param others the processes that hold the other tokens of the same sequences, by one sum of D + 1 values a sequence;
///   each gets the same vectors
/// @param pooled sequences × D
/// @param tokens of each sequence, for backward: of a mean, how many, with those of the others; of the first token, 1
/// in
///   the process that holds it, else 0
template <Scalar T>
void pool_tokens(Pooling pooling, const ConstMatrixRef<T>& hidden, const BatchLayout& layout, const WorldView& others,
                 Matrix<T>& pooled, Vector<T>& tokens, Workspace& workspace) {
  detail::resize(pooled, layout.sequences(), hidden.cols());
  detail::resize(tokens, layout.sequences(), 1);
  const bool takes_first = pooling == Pooling::first_token;
  const auto rows_of = [&](Index b) { return hidden.middleRows(layout.offset(b), layout.length(b)); };
  const auto values_of = [](auto& matrix) {
    return std::span<T>(matrix.data(), static_cast<std::size_t>(matrix.size()));
  };
  for (Index b = 0; b < pooled.rows(); ++b) {
    tokens(b) = static_cast<T>(takes_first ? std::min(layout.length(b), Index{1}) : layout.length(b));
  }
  if (others && takes_first) detail::keep_first_marks<T>(others, values_of(tokens));
  for (Index b = 0; b < pooled.rows(); ++b) {
    if (tokens(b) == 0) {
      pooled.row(b).setZero();
    } else if (takes_first) {
      pooled.row(b) = rows_of(b).row(0);
    } else {
      pooled.row(b) = rows_of(b).colwise().sum();
    }
  }
  if (others) {
    detail::combine_sums<T>(
        others,
        [&](const auto& values) {
          values(values_of(pooled));
          if (!takes_first) values(values_of(tokens));
        },
        workspace);
  }
  for (Index b = 0; b < pooled.rows() && !takes_first; ++b) pooled.row(b) /= std::max(tokens(b), T{1});
}

}  // namespace linformer::inline LINFORMER_ABI
