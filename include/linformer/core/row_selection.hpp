#pragma once

#include <linformer/core/batch.hpp>

#include <span>
#include <vector>

namespace linformer::inline LINFORMER_ABI {

/// Some rows of a ragged batch, in their order: those of a result that somebody reads. What computes the result for
/// these alone leaves out what the others would cost.
class RowSelection {
 public:
  /// None.
  RowSelection() = default;

  /// @param rows numbers of rows of the batch, increasing. @throws Error out_of_range
  RowSelection(const BatchLayout& batch, std::span<const Index> rows)
      : rows_(rows.begin(), rows.end()), batch_rows_(batch.rows()) {
    layout_.assign_rows(batch, rows_);
  }

  /// The first token of each sequence that has one, which classifiers read.
  static RowSelection first_tokens(const BatchLayout& batch) {
    RowSelection selection;
    selection.assign_first_tokens(batch);
    return selection;
  }
  /// The same, into memory that is used again.
  void assign_first_tokens(const BatchLayout& batch) {
    rows_.clear();
    for (Index b = 0; b < batch.sequences(); ++b) {
      if (batch.length(b) != 0) rows_.push_back(batch.offset(b));
    }
    batch_rows_ = batch.rows();
    layout_.assign_rows(batch, rows_);
  }

  [[nodiscard]] Index size() const { return static_cast<Index>(rows_.size()); }
  /// Number in the batch of each.
  [[nodiscard]] std::span<const Index> rows() const { return rows_; }
  /// Where they lie among themselves: their batch without the other rows.
  [[nodiscard]] const BatchLayout& layout() const { return layout_; }
  /// Whether they may have been chosen from a batch.
  [[nodiscard]] bool fits(const BatchLayout& batch) const {
    return batch_rows_ == batch.rows() && layout_.sequences() == batch.sequences();
  }

 private:
  std::vector<Index> rows_;
  Index batch_rows_ = 0;
  BatchLayout layout_;
};

/// Copies some rows of a matrix. @param rows their numbers; @param to one row for each
template <Scalar T>
void gather_rows(const ConstMatrixRef<T>& from, std::span<const Index> rows, MatrixRef<T> to) {
  for (std::size_t i = 0; i < rows.size(); ++i) to.row(static_cast<Index>(i)) = from.row(rows[i]);
}

}  // namespace linformer::inline LINFORMER_ABI
