#pragma once

#include <linformer/core/matrix.hpp>

#include <cmath>
#include <cstdint>
#include <limits>

// What the tests of kernels are measured against: plain loops in long double, and the constants of their error bounds.
namespace reference {

using linformer::Index;
using linformer::Matrix;

/// Unit roundoff: half the distance from 1 to the next number.
template <class T>
constexpr long double unit = std::numeric_limits<T>::epsilon() / 2.0L;

/// γ_p = p·u / (1 − p·u), which bounds the relative error of p roundings in T (Higham 2002, Lemma 3.1), and that of the
/// reference's own p roundings on top.
template <class T>
long double gamma(Index roundings) {
  const auto p = static_cast<long double>(roundings);
  return p * unit<T> / (1 - p * unit<T>)+p * unit<long double>;
}

/// Numbers in [−1, 1), the same everywhere.
class Numbers {
 public:
  explicit Numbers(std::uint64_t seed) : state_(seed) {}

  /// The next number, by SplitMix64 (Steele, Lea and Flood 2014).
  double next() {
    std::uint64_t z = state_ += 0x9E3779B97F4A7C15;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
    return static_cast<double>(static_cast<std::int64_t>(z ^ (z >> 31))) * 0x1p-63;
  }

  template <class T>
  Matrix<T> matrix(Index rows, Index cols, double scale = 1) {
    Matrix<T> result(rows, cols);
    for (Index i = 0; i < rows; ++i) {
      for (Index j = 0; j < cols; ++j) result(i, j) = static_cast<T>(scale * next());
    }
    return result;
  }

 private:
  std::uint64_t state_;
};

/// A result with the sum of the magnitudes of its terms, which rounding errors are relative to.
struct Exact {
  using Values = Eigen::Matrix<long double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  Values value, magnitude;
};

/// start + a·b, or a·b where `start` is empty.
template <class T>
Exact product(const Matrix<T>& a, const Matrix<T>& b, const Matrix<T>& start = {}) {
  Exact exact{Exact::Values::Zero(a.rows(), b.cols()), Exact::Values::Zero(a.rows(), b.cols())};
  for (Index i = 0; i < a.rows(); ++i) {
    for (Index j = 0; j < b.cols(); ++j) {
      long double sum = start.size() != 0 ? static_cast<long double>(start(i, j)) : 0.0L;
      long double magnitude = std::abs(sum);
      for (Index l = 0; l < a.cols(); ++l) {
        const long double term = static_cast<long double>(a(i, l)) * static_cast<long double>(b(l, j));
        sum += term;
        magnitude += std::abs(term);
      }
      exact.value(i, j) = sum;
      exact.magnitude(i, j) = magnitude;
    }
  }
  return exact;
}

/// The largest error in units of relative·magnitude + absolute: at most 1 if all are within that bound; NaN if any is.
template <class Actual>
long double worst_error(const Actual& actual, const Exact& exact, long double relative, long double absolute = 0) {
  long double worst = 0;
  for (Index i = 0; i < exact.value.rows(); ++i) {
    for (Index j = 0; j < exact.value.cols(); ++j) {
      const long double error = std::abs(static_cast<long double>(actual(i, j)) - exact.value(i, j));
      if (error == 0) continue;
      const long double ratio = error / (relative * exact.magnitude(i, j) + absolute);
      if (!(ratio <= worst)) worst = ratio;
      if (std::isnan(worst)) return worst;
    }
  }
  return worst;
}

/// A matrix inside a larger one whose other elements are NaN: rows lie apart and start off any boundary, and reading or
/// writing beside the matrix shows.
template <class T>
class Framed {
 public:
  explicit Framed(const Matrix<T>& matrix)
      : whole_(Matrix<T>::Constant(matrix.rows() + 2, matrix.cols() + 5, std::numeric_limits<T>::quiet_NaN())),
        rows_(matrix.rows()),
        cols_(matrix.cols()) {
    inside() = matrix;
  }
  auto inside() { return whole_.block(1, 3, rows_, cols_); }
  auto inside() const { return whole_.block(1, 3, rows_, cols_); }
  /// Whether nothing beside the matrix was written.
  [[nodiscard]] bool frame_is_intact() const {
    return whole_.array().isNaN().count() - inside().array().isNaN().count() == whole_.size() - rows_ * cols_;
  }

 private:
  Matrix<T> whole_;
  Index rows_, cols_;
};

}  // namespace reference
