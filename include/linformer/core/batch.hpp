#pragma once

#include <linformer/core/matrix.hpp>

#include <algorithm>
#include <numeric>
#include <span>
#include <utility>
#include <vector>

namespace linformer::inline LINFORMER_ABI {

/// Which tokens are present: B × n, one sequence a row. `true` means present, as in Hugging Face's `attention_mask`; it
/// is the opposite of PyTorch's `key_padding_mask`.
using TokenMask = Eigen::Array<bool, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

/// A nullable, non-owning view of a token mask, for optional arguments.
class MaskView {
 public:
  MaskView() = default;
  MaskView(const TokenMask& mask)  // NOLINT(google-explicit-constructor): a view, like std::span
      : data_(mask.data()), sequences_(mask.rows()), length_(mask.cols()), present_(true) {}
  /// One sequence.
  MaskView(std::span<const bool> mask)  // NOLINT(google-explicit-constructor)
      : data_(mask.data()), sequences_(1), length_(static_cast<Index>(mask.size())), present_(true) {}

  [[nodiscard]] explicit operator bool() const noexcept { return present_; }
  [[nodiscard]] Index sequences() const noexcept { return sequences_; }
  [[nodiscard]] Index length() const noexcept { return length_; }
  [[nodiscard]] bool operator()(Index sequence, Index token) const { return data_[sequence * length_ + token]; }

 private:
  const bool* data_ = nullptr;
  Index sequences_ = 0, length_ = 0;
  bool present_ = false;
};

/// Positions of consecutive rows in their own sequence: first, first + 1, … unless a list says otherwise.
struct Positions {
  Index first = 0;              ///< position of the first row, where there is no list
  Index count = 0;              ///< rows
  const Index* list = nullptr;  ///< position of each row, increasing; null if they follow each other
  Index whole = 0;              ///< extent of the sequence that these are a part of; 0 where they are all of it

  [[nodiscard]] Index operator[](Index row) const { return list != nullptr ? list[row] : first + row; }
  /// One past the last position; 0 if there is no row.
  [[nodiscard]] Index extent() const { return count == 0 ? 0 : (*this)[count - 1] + 1; }
  /// One past the last position of the whole sequence.
  [[nodiscard]] Index whole_extent() const { return whole != 0 ? whole : extent(); }
  /// The rows [begin, begin + rows).
  [[nodiscard]] Positions slice(Index begin, Index rows) const {
    return {list != nullptr ? 0 : first + begin, rows, list != nullptr ? list + begin : nullptr, whole_extent()};
  }
  /// Rows from `begin` on whose position lies below `limit`.
  [[nodiscard]] Index rows_below(Index begin, Index limit) const {
    if (list == nullptr) return std::clamp(limit - first - begin, Index{0}, count - begin);
    return std::lower_bound(list + begin, list + count, limit) - (list + begin);
  }
};

/// Where the sequences of a ragged batch lie: only present tokens have a row; sequence b owns the rows
/// [offset(b), offset(b + 1)). A padded token does not exist.
class BatchLayout {
 public:
  /// No sequence.
  BatchLayout() = default;

  /// Sequences of these lengths without holes. @throws Error shape_mismatch for a negative length.
  static BatchLayout from_lengths(std::span<const Index> lengths) {
    BatchLayout layout;
    layout.offsets_.reserve(lengths.size() + 1);
    for (const Index length : lengths) {
      detail::require(length >= 0, ErrorCode::shape_mismatch, "lengths", "lengths of at least 0",
                      std::to_string(length));
      detail::require(length <= std::numeric_limits<Index>::max() - layout.rows(), ErrorCode::size_overflow, "lengths",
                      "a sum that can be addressed", std::to_string(length) + " more");
      layout.offsets_.push_back(layout.rows() + length);
    }
    return layout;
  }

  /// One sequence of `length` tokens.
  static BatchLayout single(Index length) { return from_lengths(std::span<const Index>(&length, 1)); }

  /// The present tokens of a mask. Positions are kept only where the mask has holes.
  static BatchLayout from_mask(const MaskView& mask) {
    BatchLayout layout;
    bool holes = false;
    for (Index b = 0; b < mask.sequences(); ++b) {
      const auto begin = layout.positions_.size();
      for (Index t = 0; t < mask.length(); ++t) {
        if (mask(b, t)) layout.positions_.push_back(t);
      }
      const auto rows = layout.positions_.size() - begin;
      holes = holes || (rows > 0 && layout.positions_.back() + 1 != static_cast<Index>(rows));
      layout.offsets_.push_back(static_cast<Index>(layout.positions_.size()));
    }
    if (!holes) layout.positions_ = {};
    return layout;
  }

  /// Becomes the layout of some rows of a batch, each with its sequence and its position; memory is used again.
  /// @param rows their numbers in the batch, increasing. @throws Error out_of_range; the layout is then unchanged
  void assign_rows(const BatchLayout& batch, std::span<const Index> rows) {
    for (std::size_t i = 0; i < rows.size(); ++i) {
      detail::require(
          rows[i] >= (i == 0 ? 0 : rows[i - 1] + 1) && rows[i] < batch.rows(), ErrorCode::out_of_range, "rows",
          [&] { return "increasing numbers below " + std::to_string(batch.rows()); },
          [&] { return std::to_string(rows[i]); });
    }
    offsets_.assign(1, 0);
    positions_.clear();
    wholes_.clear();
    first_position_ = 0;
    std::size_t i = 0;
    for (Index b = 0; b < batch.sequences(); ++b) {
      const Positions positions = batch.positions(b);
      for (; i < rows.size() && rows[i] < batch.offset(b + 1); ++i) {
        positions_.push_back(positions[rows[i] - batch.offset(b)]);
      }
      offsets_.push_back(static_cast<Index>(i));
      wholes_.push_back(positions.whole_extent());
    }
  }

  /// Those tokens of each sequence that stand at the positions begin … end − 1, which they keep: what one of several
  /// processes holds.
  [[nodiscard]] BatchLayout part(Index begin, Index end) const {
    BatchLayout result;
    for (Index b = 0; b < sequences(); ++b) {
      const Rows rows = rows_of_part(b, begin, end);
      if (!positions_.empty()) {
        const auto first = positions_.begin() + rows.first;
        result.positions_.insert(result.positions_.end(), first, first + rows.count);
      }
      result.offsets_.push_back(result.rows() + rows.count);
      result.wholes_.push_back(positions(b).whole_extent());
    }
    if (result.rows() > 0 && positions_.empty()) result.first_position_ = std::max(begin, first_position_);
    return result;
  }
  struct Rows {
    Index first, count;
  };
  /// Where they are among the rows of this batch.
  [[nodiscard]] Rows rows_of_part(Index b, Index begin, Index end) const {
    const Index before = positions(b).rows_below(0, begin);
    return {offset(b) + before, std::max(positions(b).rows_below(0, end) - before, Index{0})};
  }

  [[nodiscard]] Index sequences() const { return static_cast<Index>(offsets_.size()) - 1; }
  /// Present tokens of all sequences.
  [[nodiscard]] Index rows() const { return offsets_.back(); }
  /// First row of sequence b; `offset(sequences())` is `rows()`.
  [[nodiscard]] Index offset(Index b) const { return offsets_[static_cast<std::size_t>(b)]; }
  /// Present tokens of sequence b.
  [[nodiscard]] Index length(Index b) const { return offset(b + 1) - offset(b); }
  /// The sequence that owns a row below `rows()`.
  [[nodiscard]] Index sequence_of(Index row) const {
    return std::upper_bound(offsets_.begin(), offsets_.end(), row) - offsets_.begin() - 1;
  }
  /// Position of each row of sequence b in its own sequence.
  [[nodiscard]] Positions positions(Index b) const {
    return {first_position_, length(b), positions_.empty() ? nullptr : positions_.data() + offset(b),
            wholes_.empty() ? 0 : wholes_[static_cast<std::size_t>(b)]};
  }
  [[nodiscard]] bool operator==(const BatchLayout&) const = default;

 private:
  std::vector<Index> offsets_{0};
  std::vector<Index> positions_;
  std::vector<Index> wholes_;  // extent of each sequence, where these are parts
  Index first_position_ = 0;  // of the first row of each sequence, where positions are not listed
};

/// A ragged batch: the present rows of all sequences one after another.
template <Scalar T>
struct Batch {
  BatchLayout layout;
  Matrix<T> rows;  ///< layout.rows() × D

  /// Rows of sequence b, length(b) × D.
  [[nodiscard]] auto sequence(Index b) const { return rows.middleRows(layout.offset(b), layout.length(b)); }
  [[nodiscard]] auto sequence(Index b) { return rows.middleRows(layout.offset(b), layout.length(b)); }

  /// Those tokens of each sequence that stand at the positions begin … end − 1.
  [[nodiscard]] Batch part(Index begin, Index end) const {
    Batch result{layout.part(begin, end), {}};
    result.rows.resize(result.layout.rows(), rows.cols());
    for (Index b = 0; b < layout.sequences(); ++b) {
      const auto [first, count] = layout.rows_of_part(b, begin, end);
      result.sequence(b) = rows.middleRows(first, count);
    }
    return result;
  }
};

/// A batch of matrices of one width, one sequence each. @throws Error shape_mismatch if widths differ.
template <Scalar T>
[[nodiscard]] Batch<T> make_batch(std::span<const Matrix<T>> sequences) {
  std::vector<Index> lengths;
  for (const Matrix<T>& sequence : sequences) lengths.push_back(sequence.rows());
  Batch<T> batch{BatchLayout::from_lengths(lengths), {}};
  const Index width = sequences.empty() ? 0 : sequences.front().cols();
  batch.rows.resize(batch.layout.rows(), width);
  for (std::size_t b = 0; b < sequences.size(); ++b) {
    detail::require_shape("sequence " + std::to_string(b), sequences[b].rows(), sequences[b].cols(),
                          sequences[b].rows(), width);
    batch.sequence(static_cast<Index>(b)) = sequences[b];
  }
  return batch;
}

/// The present tokens of a padded batch. What the padding holds is never read.
/// @param padded (B·n) × D, sequence by sequence, in any Eigen order
/// @param mask B × n. @throws Error shape_mismatch if padded has not B·n rows.
template <class Derived>
[[nodiscard]] Batch<typename Derived::Scalar> to_ragged(const Eigen::MatrixBase<Derived>& padded,
                                                        const MaskView& mask) {
  const Index n = mask.length();
  detail::require_shape("padded batch", padded.rows(), padded.cols(),
                        detail::checked_size("padded batch", {mask.sequences(), n}), padded.cols());
  Batch<typename Derived::Scalar> batch{BatchLayout::from_mask(mask), {}};
  batch.rows.resize(batch.layout.rows(), padded.cols());
  for (Index b = 0; b < batch.layout.sequences(); ++b) {
    const Positions positions = batch.layout.positions(b);
    auto rows = batch.sequence(b);
    for (Index i = 0; i < positions.count; ++i) rows.row(i) = padded.row(b * n + positions[i]);
  }
  return batch;
}

/// As above, with the number of tokens present at the start of each of the B sequences.
/// @throws Error shape_mismatch if a length exceeds n or padded's rows are no multiple of B.
template <class Derived>
[[nodiscard]] Batch<typename Derived::Scalar> to_ragged(const Eigen::MatrixBase<Derived>& padded,
                                                        std::span<const Index> lengths) {
  const auto sequences = static_cast<Index>(lengths.size());
  const Index n = sequences == 0 ? 0 : padded.rows() / sequences;
  detail::require_shape("padded batch", padded.rows(), padded.cols(), sequences * n, padded.cols());
  Batch<typename Derived::Scalar> batch{BatchLayout::from_lengths(lengths), {}};
  batch.rows.resize(batch.layout.rows(), padded.cols());
  for (Index b = 0; b < sequences; ++b) {
    const Index length = batch.layout.length(b);
    detail::require(length <= n, ErrorCode::shape_mismatch, "lengths", "at most " + std::to_string(n) + " tokens",
                    std::to_string(length));
    batch.sequence(b) = padded.middleRows(b * n, length);
  }
  return batch;
}

/// A padded (B, n, D) batch in caller's memory, row-major. @throws Error shape_mismatch if the span has not B·n·D
/// values.
template <Scalar T>
[[nodiscard]] Batch<T> to_ragged(std::span<const T> padded, Index width, const MaskView& mask) {
  const Index rows = detail::checked_size("padded batch", {mask.sequences(), mask.length()});
  const Index size = detail::checked_size("padded batch", {rows, width});
  detail::require(static_cast<Index>(padded.size()) == size, ErrorCode::shape_mismatch, "padded batch",
                  std::to_string(size) + " values", std::to_string(padded.size()));
  return to_ragged(Eigen::Map<const Matrix<T>>(padded.data(), rows, width), mask);
}

/// The (B·n) × D padded form; absent tokens are zero. @throws Error shape_mismatch if a token lies at n or beyond.
template <Scalar T>
[[nodiscard]] Matrix<T> to_padded(const Batch<T>& batch, Index n) {
  const Index sequences = batch.layout.sequences();
  Matrix<T> padded = Matrix<T>::Zero(detail::checked_size("padded batch", {sequences, n}), batch.rows.cols());
  for (Index b = 0; b < sequences; ++b) {
    const Positions positions = batch.layout.positions(b);
    detail::require(positions.extent() <= n, ErrorCode::shape_mismatch, "padded length",
                    "at least " + std::to_string(positions.extent()), std::to_string(n));
    for (Index i = 0; i < positions.count; ++i) padded.row(b * n + positions[i]) = batch.sequence(b).row(i);
  }
  return padded;
}

}  // namespace linformer::inline LINFORMER_ABI
