#pragma once

#include <linformer/attention/projection_concept.hpp>

namespace linformer::inline LINFORMER_ABI {

/// Row i is the mean of the present tokens of its window. Accumulates their sum; the owner of the sum divides by the
/// count of tokens that reached the row.
template <Scalar T>
struct MeanPooling : Windows {
  static constexpr bool commutes = true;
  static constexpr bool local = true;
  static constexpr Reduction reduction = Reduction::sum;

  bool log_count = false;  ///< add log(count) to the row's score, so that its tokens weigh as much as they would alone

  void accumulate(const Positions& tokens, const ConstMatrixRef<T>& features, MatrixRef<T> out, Vector<T>* ones,
                  const Compute& /*compute*/) const {
    for (Index j = 0; j < tokens.count; ++j) {
      const Index row = row_of(tokens[j]);
      out.row(row) += features.row(j);
      if (ones != nullptr) (*ones)(row) += T{1};
    }
  }
};

/// Row i is the maximum of each feature over the present tokens of its window. A NaN among them makes the maximum NaN.
template <Scalar T>
struct MaxPooling : Windows {
  static constexpr bool commutes = false;
  static constexpr bool local = true;
  static constexpr Reduction reduction = Reduction::maximum;

  void accumulate(const Positions& tokens, const ConstMatrixRef<T>& features, MatrixRef<T> out, Vector<T>* /*ones*/,
                  const Compute& /*compute*/) const {
    for (Index j = 0; j < tokens.count; ++j) {
      auto row = out.row(row_of(tokens[j]));
      row = row.binaryExpr(features.row(j), MaximumOrNan{});
    }
  }
};

}  // namespace linformer::inline LINFORMER_ABI
