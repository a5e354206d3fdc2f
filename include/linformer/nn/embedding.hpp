#pragma once

#include <linformer/core/parameters.hpp>
#include <linformer/kernels/compute.hpp>

#include <algorithm>
#include <cstdint>

namespace linformer::inline LINFORMER_ABI {

/// A table of vectors, one a row.
template <Scalar T>
struct Embedding {
  Matrix<T> weight;  ///< entries × D

  /// Adds to the table's gradient what each use of an entry gives, in the order of uses whatever the threads.
  /// @param entry called as entry(i) for each row i of the gradient: which entry was used
  template <class Entry>
  void accumulate(const ConstMatrixRef<T>& gradient, const Entry& entry, const Execution& execution) {
    constexpr Index columns = 64;  // of one task
    execution.run((weight.cols() + columns - 1) / columns, [&](Index task, const Compute&) {
      const Index first = task * columns, count = std::min(columns, weight.cols() - first);
      for (Index i = 0; i < gradient.rows(); ++i) {
        weight.row(entry(i)).segment(first, count) += gradient.row(i).segment(first, count);
      }
    });
  }

  void for_each_parameter(const ParameterName& name, const ParameterVisitor<T>& visitor) {
    detail::visit_matrix(name + ".weight", weight, visitor);
  }
  void for_each_parameter(const ParameterName& name, const ParameterVisitor<const T>& visitor) const {
    detail::visit_matrix(name + ".weight", weight, visitor);
  }
};

}  // namespace linformer::inline LINFORMER_ABI
