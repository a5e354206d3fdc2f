#pragma once

#include <linformer/attention/projection.hpp>

namespace linformer::inline LINFORMER_ABI {

/// E·X of the tokens seen so far, a value that accumulates: sums over any cut of the sequence add up.
///
/// Inside a cut sums run in `T`; across cuts every element carries the rounding error of its sum with it (Knuth's
/// two-sum), so that the error does not grow with the number of cuts: |E·X − sum| ≤ (γ_c + 2u + O(m·u²))·|E||X| for cuts
/// of at most c tokens and m cuts.
template <Scalar T>
class ProjectedSum {
 public:
  using Counts = Eigen::Array<Index, Eigen::Dynamic, 1>;

  ProjectedSum() = default;

  /// No token yet. @param rows k, @param width features
  ProjectedSum(Index rows, Index width, Reduction reduction)
      : reduction_(reduction),
        sum_(Matrix<T>::Constant(rows, width, identity(reduction))),
        ones_(Vector<T>::Zero(rows)),
        ones_error_(Vector<T>::Zero(rows)),
        counts_(Counts::Zero(rows)) {
    if (reduction == Reduction::sum) error_ = Matrix<T>::Zero(rows, width);
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
    if (reduction_ == Reduction::maximum) {
      sum_ = sum_.binaryExpr(part, MaximumOrNan{});
      return;
    }
    for (Index i = 0; i < rows(); ++i) two_sum(sum_.row(i), part.row(i), error_.row(i));
    two_sum(ones_, ones, ones_error_);
  }

  /// Counts the tokens of a cut.
  void count(const Projection<T>& projection, const Positions& tokens) { projection.count(tokens, counts_); }

  /// Adds what another sum has seen. @throws Error shape_mismatch
  void merge(const ProjectedSum& other) {
    detail::require_shape("projected sum", other.rows(), other.width(), rows(), width());
    detail::require(other.reduction_ == reduction_, ErrorCode::shape_mismatch, "projected sum", "the same reduction",
                    "another");
    counts_ += other.counts_;
    add(other.sum_, other.ones_);
    if (reduction_ == Reduction::sum) {
      error_ += other.error_;
      ones_error_ += other.ones_error_;
    }
  }

  /// E·X, k × c. Rows that no token reached are zero. @param average divide each row by its count
  [[nodiscard]] Matrix<T> value(bool average) const {
    Matrix<T> result = reduction_ == Reduction::sum ? Matrix<T>(corrected(sum_, error_)) : sum_;
    for (Index i = 0; i < rows(); ++i) {
      if (counts_(i) == 0) {
        result.row(i).setZero();
      } else if (average) {
        result.row(i) /= static_cast<T>(counts_(i));
      }
    }
    return result;
  }

  /// E·1, k. @param average as for `value`
  [[nodiscard]] Vector<T> ones(bool average) const {
    Vector<T> result = corrected(ones_, ones_error_);
    for (Index i = 0; average && i < rows(); ++i) result(i) = counts_(i) == 0 ? T{0} : T{1};
    return result;
  }

 private:
  /// sum + error ← sum + error + part, exactly but for the rounding of `error`.
  template <class Sum, class Part, class Error>
  static void two_sum(Sum&& sum, const Part& part, Error&& error) {
    const auto& a = sum.array();
    const auto& b = part.array();
    error.array() += (a - ((a + b) - ((a + b) - a))) + (b - ((a + b) - a));
    sum += part;
  }

  /// The sum with its error; a sum that is not finite has none.
  template <class Sum, class Error>
  static auto corrected(const Sum& sum, const Error& error) {
    return error.array().isFinite().select(sum + error, sum).eval();
  }

  Reduction reduction_ = Reduction::sum;
  Matrix<T> sum_, error_;
  Vector<T> ones_, ones_error_;
  Counts counts_;
};

}  // namespace linformer::inline LINFORMER_ABI
