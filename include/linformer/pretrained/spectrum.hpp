#pragma once

#include <linformer/pretrained/attention_heads.hpp>

#include <Eigen/Eigenvalues>

#include <cmath>
#include <span>

namespace linformer::inline LINFORMER_ABI {

/// Singular values of a matrix, the largest first: min(rows, columns) of them. They are the square roots of the
/// eigenvalues of its smaller Gram matrix, several times as fast as a decomposition of the matrix itself: errors of up
/// to about √ε·σ₁ ≈ 1.5e-8·σ₁ in the smallest ones, of some ε·σ₁ in those near σ₁. P computed in `float` is no better.
/// @throws Error not_finite
[[nodiscard]] inline Vector<double> singular_values(const ConstMatrixRef<double>& a) {
  if (a.size() == 0) return {};
  Matrix<double> gram;
  if (a.rows() < a.cols()) {
    gram.noalias() = a * a.transpose();
  } else {
    gram.noalias() = a.transpose() * a;
  }
  detail::require(gram.allFinite(), ErrorCode::not_finite, "matrix", "finite values", "NaN or infinity");
  const Eigen::SelfAdjointEigenSolver<Matrix<double>> solver(gram, Eigen::EigenvaluesOnly);
  return solver.eigenvalues().reverse().cwiseMax(0.0).cwiseSqrt();
}

/// How much of softmax attention matrices of low rank can keep, over texts: of P (the paper's Figure 1), and of P·V,
/// whose rank is at most d whatever P is. Each text and head has its own best matrix. Sums over texts and heads, which
/// add up: that of a layer is the sum of its heads'. In double precision.
class AttentionSpectrum {
 public:
  /// @param sequence_length n, of the longest text; @param head_width d
  AttentionSpectrum(Index sequence_length, Index head_width)
      : shares_(Vector<double>::Zero(sequence_length)), discarded_(Vector<double>::Zero(head_width + 1)) {}

  /// Adds one text's attention by one head. @param probabilities P, m × m, 1 ≤ m ≤ n; @param output P·V, m × d
  /// @throws Error shape_mismatch, not_finite
  void add(const ConstMatrixRef<double>& probabilities, const ConstMatrixRef<double>& output) {
    const Index rank = std::min(probabilities.rows(), probabilities.cols());
    detail::require(rank >= 1 && rank <= shares_.size(), ErrorCode::shape_mismatch, "probabilities",
                    "1 to " + std::to_string(shares_.size()) + " tokens", std::to_string(rank));
    detail::require_shape("output", output.rows(), output.cols(), probabilities.rows(), discarded_.size() - 1);
    const Vector<double> of_probabilities = singular_values(probabilities), of_output = singular_values(output);
    Vector<double> sums = of_probabilities;
    for (Index i = 1; i < rank; ++i) sums(i) += sums(i - 1);
    shares_.head(rank) += sums / sums(rank - 1);
    shares_.tail(shares_.size() - rank).array() += 1.0;
    double discarded = 0;
    for (Index i = of_output.size(); i-- > 0;) {
      discarded += of_output(i) * of_output(i);
      discarded_(i) += discarded;
    }
    ++added_;
  }

  /// @throws Error shape_mismatch
  AttentionSpectrum& operator+=(const AttentionSpectrum& other) {
    detail::require_shape("spectrum", other.sequence_length(), other.head_width(), sequence_length(), head_width());
    shares_ += other.shares_;
    discarded_ += other.discarded_;
    added_ += other.added_;
    return *this;
  }

  [[nodiscard]] Index sequence_length() const { return shares_.size(); }
  [[nodiscard]] Index head_width() const { return discarded_.size() - 1; }

  /// Σ_{i≤r} σᵢ / Σᵢ σᵢ of P, the mean over texts and heads: the paper's "normalized cumulative singular value"
  /// (Section 3, Figure 1), for which it gives no formula; that of singular values, not of their squares, is meant.
  /// @param rank r, from 0 to n. @return 0 where nothing was added. @throws Error out_of_range
  [[nodiscard]] double cumulative(Index rank) const {
    require_rank(rank, sequence_length());
    return rank == 0 || added_ == 0 ? 0.0 : shares_(rank - 1) / static_cast<double>(added_);
  }

  /// ‖P·V − (P·V)ᵣ‖/‖P·V‖ (Frobenius, over all texts and heads), (P·V)ᵣ being the best matrix of rank r for the text
  /// and head (Eckart and Young 1936). @param rank r, from 0 to d. @throws Error out_of_range
  [[nodiscard]] double output_error(Index rank) const {
    require_rank(rank, head_width());
    return discarded_(0) > 0 ? std::sqrt(discarded_(rank) / discarded_(0)) : 0.0;
  }

  /// The smallest rank of P whose `cumulative` is at least a share from 0 to 1. @throws Error out_of_range
  [[nodiscard]] Index probability_rank(double share) const {
    return smallest(share, sequence_length(), [&](Index rank) { return cumulative(rank); });
  }
  /// The smallest rank of P·V that keeps a share of ‖P·V‖², that is, 1 − `output_error`². @throws Error out_of_range
  [[nodiscard]] Index output_rank(double share) const {
    return smallest(share, head_width(), [&](Index rank) { return 1 - output_error(rank) * output_error(rank); });
  }

 private:
  static void require_rank(Index rank, Index most) {
    detail::require(
        rank >= 0 && rank <= most, ErrorCode::out_of_range, "rank", [&] { return "0 to " + std::to_string(most); },
        [&] { return std::to_string(rank); });
  }

  template <class Kept>
  [[nodiscard]] static Index smallest(double share, Index most, const Kept& kept) {
    detail::require(share >= 0 && share <= 1, ErrorCode::out_of_range, "share", "0 to 1", std::to_string(share));
    Index rank = 0;
    while (rank < most && kept(rank) < share) ++rank;
    return rank;
  }

  Vector<double> shares_;     ///< by r − 1: sum of the cumulative values
  Vector<double> discarded_;  ///< by r: sum of ‖P·V − (P·V)ᵣ‖²
  Index added_ = 0;
};

/// Adds what one layer does with one text to the spectra of its heads. @throws Error as `AttentionSpectrum::add`
template <Scalar T>
void add_spectra(const LayerAttention<T>& attention, std::span<AttentionSpectrum> heads, const Execution& execution) {
  const Index width = attention.output.cols() / static_cast<Index>(heads.size());
  execution.run(static_cast<Index>(heads.size()), [&](Index head, const Compute&) {
    const auto its = static_cast<std::size_t>(head);
    heads[its].add(attention.probabilities[its].template cast<double>(),
                   attention.output.middleCols(head * width, width).template cast<double>());
  });
}

}  // namespace linformer::inline LINFORMER_ABI
