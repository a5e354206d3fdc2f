#pragma once

#include <linformer/attention/projection.hpp>
#include <linformer/kernels/compensated_sum.hpp>

#include <limits>
#include <span>
#include <utility>

namespace linformer::inline LINFORMER_ABI {

/// E·X of the tokens seen so far, a value that accumulates: sums over any cut of the sequence add up.
///
/// Inside a cut sums run in `T`; across cuts every element carries the rounding error of its sum with it (Knuth's
/// two-sum), so that the error does not grow with the number of cuts: |E·X − sum| ≤ (γ_c + 2u + O(64·m·u²))·|E||X| for
/// cuts of at most c tokens and m cuts. Every 64 cuts the error carried along is added to the sum as far as it fits.
template <Scalar T>
class ProjectedSum {
 public:
  using Counts = Eigen::Array<Index, Eigen::Dynamic, 1>;

  ProjectedSum() = default;
  ProjectedSum(Index rows, Index width, Reduction reduction) { reset(rows, width, reduction); }

  /// No token yet. Memory of the same size is used again. @param rows k, @param width features
  void reset(Index rows, Index width, Reduction reduction) {
    reduction_ = reduction;
    empty_ = true;
    additions_ = 0;
    detail::resize(sum_, rows, width);
    detail::resize(error_, reduction == Reduction::sum ? rows : 0, width);
    detail::resize(ones_, rows, 1);
    detail::resize(ones_error_, rows, 1);
    detail::resize(counts_, rows, 1);
    sum_.setConstant(identity(reduction));
    error_.setZero();
    ones_.setZero();
    ones_error_.setZero();
    counts_.setZero();
  }

  /// What the sum of no token holds.
  [[nodiscard]] static T identity(Reduction reduction) {
    return reduction == Reduction::sum ? T{0} : -std::numeric_limits<T>::infinity();
  }

  [[nodiscard]] Index rows() const { return sum_.rows(); }
  [[nodiscard]] Index width() const { return sum_.cols(); }
  [[nodiscard]] Reduction reduction() const { return reduction_; }

  /// Tokens that reached each row.
  [[nodiscard]] const Counts& counts() const { return counts_; }

  /// Adds the contribution of a cut. @param part E·X of its tokens (k × c), @param ones E·1 of its tokens (k)
  void add(const ConstMatrixRef<T>& part, const Vector<T>& ones) {
    add(part, ones, default_isa(), [](Index tasks, const auto& work) {
      for (Index task = 0; task < tasks; ++task) work(task);
    });
  }
  /// The same by a path of kernels. @param run called as run(tasks, work): calls work(task) once for each task, which
  /// may run at the same time
  template <class Run>
  void add(const ConstMatrixRef<T>& part, const Vector<T>& ones, Isa isa, const Run& run) {
    const bool first = std::exchange(empty_, false);
    const Index rows_of_task = std::max(Index{1}, Index{1 << 15} / std::max(width(), Index{1}));
    run((rows() + rows_of_task - 1) / rows_of_task, [&](Index task) {
      const Index begin = task * rows_of_task;
      add_rows(begin, std::min(rows_of_task, rows() - begin), part, first, isa);
    });
    if (reduction_ == Reduction::maximum) return;
    if (first) {
      ones_ = ones;
      return;
    }
    const auto count = static_cast<std::size_t>(rows());
    add_compensated<T>(isa, {ones_.data(), count}, {ones_error_.data(), count}, {ones.data(), count});
    if (++additions_ % 64 == 0) absorb_errors();
  }

  /// Counts the tokens of a cut.
  void count(const Projection<T>& projection, const Positions& tokens) { projection.count(tokens, counts_); }

  /// Adds what another sum has seen. @throws Error shape_mismatch
  void merge(const ProjectedSum& other) {
    detail::require_shape("projected sum", other.rows(), other.width(), rows(), width());
    detail::require(other.reduction_ == reduction_, ErrorCode::shape_mismatch, "projected sum", "the same reduction",
                    "another");
    if (other.empty_) return;
    counts_ += other.counts_;
    add(other.sum_, other.ones_);
    if (reduction_ == Reduction::sum) {
      error_ += other.error_;
      ones_error_ += other.ones_error_;
      absorb_errors();
    }
  }

  /// What processes that saw different tokens combine to have seen all of them: E·X by `reduction()`; E·1 and the
  /// counts, which may pass through T, by adding them up. What two-sums carried along is rounded into the sums first,
  /// at half a unit of each.
  struct Parts {
    std::span<T> sums, ones;
    std::span<Index> counts;
  };
  [[nodiscard]] Parts parts() {
    if (reduction_ == Reduction::sum) {
      absorb_errors();
      error_.setZero();
      ones_error_.setZero();
    }
    empty_ = false;
    const auto span = [](auto& values) { return std::span(values.data(), static_cast<std::size_t>(values.size())); };
    return {span(sum_), span(ones_), span(counts_)};
  }

  /// E·X of the given rows, and E·1 beside it.
  /// @param rows of E, reached by a token; @param average divide each by the count of its tokens
  /// @param out rows × c; @param ones one for each row
  void read(std::span<const Index> rows, bool average, MatrixRef<T> out, std::span<T> ones) const {
    for (Index i = 0; i < out.rows(); ++i) {
      const Index row = rows[static_cast<std::size_t>(i)];
      T& its_ones = ones[static_cast<std::size_t>(i)];
      its_ones = corrected(ones_(row), ones_error_(row));
      if (reduction_ == Reduction::maximum) {
        out.row(i) = sum_.row(row);
        continue;
      }
      out.row(i) = error_.row(row).array().isFinite().select(sum_.row(row) + error_.row(row), sum_.row(row));
      if (!average) continue;
      out.row(i) /= static_cast<T>(counts_(row));
      its_ones = T{1};
    }
  }

 private:
  void add_rows(Index begin, Index count, const ConstMatrixRef<T>& part, bool first, Isa isa) {
    if (reduction_ == Reduction::maximum) {
      sum_.middleRows(begin, count) =
          sum_.middleRows(begin, count).binaryExpr(part.middleRows(begin, count), MaximumOrNan{});
    } else if (first) {
      sum_.middleRows(begin, count) = part.middleRows(begin, count);
    } else {
      const auto length = static_cast<std::size_t>(width());
      for (Index i = begin; i < begin + count; ++i) {
        add_compensated<T>(isa, {sum_.row(i).data(), length}, {error_.row(i).data(), length},
                           {part.row(i).data(), length});
      }
    }
  }

  /// Keeps errors below a unit of the sums that they belong to, as else they would be rounded like sums themselves.
  void absorb_errors() {
    const auto absorb = [](T& sum, T& error) {
      if (!std::isfinite(error)) return;
      const T whole = sum + error;
      error -= whole - sum;
      sum = whole;
    };
    for (Index i = 0; i < error_.size(); ++i) absorb(sum_.data()[i], error_.data()[i]);
    for (Index i = 0; i < ones_error_.size(); ++i) absorb(ones_.data()[i], ones_error_.data()[i]);
  }

  /// A sum that is not finite has no error.
  static T corrected(T sum, T error) { return std::isfinite(error) ? sum + error : sum; }

  Reduction reduction_ = Reduction::sum;
  bool empty_ = true;
  Index additions_ = 0;
  Matrix<T> sum_, error_;
  Vector<T> ones_, ones_error_;
  Counts counts_;
};

}  // namespace linformer::inline LINFORMER_ABI
