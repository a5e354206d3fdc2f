#pragma once

#include <linformer/attention/projection_concept.hpp>

namespace linformer::inline LINFORMER_ABI {

/// Row i is the mean of the present tokens of its window. Accumulates their sum; the owner of the sum divides by the
/// count of tokens that reached the row.
/// @tparam W `Windows` of positions, or `GrowingWindows` of the text
template <Scalar T, class W = Windows>
struct MeanPooling : W {
  static constexpr bool commutes = true;
  static constexpr bool local = true;
  static constexpr Reduction reduction = Reduction::sum;

  bool log_count = false;  ///< add log(count) to the row's score, so that its tokens weigh as much as they would alone

  void accumulate(const Positions& tokens, const ConstMatrixRef<T>& features, MatrixRef<T> out, Vector<T>* ones,
                  const Compute& /*compute*/) const {
    this->for_each_row(tokens, [&](Index j, Index row) {
      out.row(row) += features.row(j);
      if (ones != nullptr) (*ones)(row) += T{1};
    });
  }
};
template <Scalar T>
using GrowingPooling = MeanPooling<T, GrowingWindows>;

/// Row i is the maximum of each feature over the present tokens of its window. A NaN among them makes the maximum NaN.
template <Scalar T>
struct MaxPooling : Windows {
  static constexpr bool commutes = false;
  static constexpr bool local = true;
  static constexpr Reduction reduction = Reduction::maximum;

  void accumulate(const Positions& tokens, const ConstMatrixRef<T>& features, MatrixRef<T> out, Vector<T>* /*ones*/,
                  const Compute& /*compute*/) const {
    for_each_row(tokens, [&](Index j, Index row) {
      out.row(row) = out.row(row).binaryExpr(features.row(j), MaximumOrNan{});
    });
  }
};

}  // namespace linformer::inline LINFORMER_ABI
