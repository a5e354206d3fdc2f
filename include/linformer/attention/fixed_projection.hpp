#pragma once

#include <linformer/attention/config.hpp>
#include <linformer/attention/dense_projection.hpp>
#include <linformer/core/random.hpp>
#include <linformer/parallel/part.hpp>

#include <cmath>

namespace linformer::inline LINFORMER_ABI {

/// A Johnson–Lindenstrauss projection (Section 3, Theorem 2): every entry a function of seed, row and token alone,
/// generated as it is used unless it is asked to be stored. The same numbers on every platform and under every flag.
template <Scalar T>
class FixedProjection {
 public:
  static constexpr bool commutes = true;
  static constexpr bool local = false;
  static constexpr Reduction reduction = Reduction::sum;

  /// @param kind gaussian or rademacher
  FixedProjection(ProjectionKind kind, Index rows, Index columns, FixedScale scale, RandomStream stream)
      : kind_(kind),
        rows_(rows),
        columns_(columns),
        scale_(static_cast<T>(1 / std::sqrt(static_cast<double>(scale == FixedScale::paper ? rows : columns)))),
        stream_(stream) {}

  [[nodiscard]] Index rows() const { return rows_; }
  [[nodiscard]] Index columns() const { return columns_; }
  /// Whether both are the same matrix.
  [[nodiscard]] bool operator==(const FixedProjection& other) const {
    return kind_ == other.kind_ && rows_ == other.rows_ && columns_ == other.columns_ && scale_ == other.scale_ &&
           stream_.key() == other.stream_.key();
  }

  /// Writes the columns [first, first + out.rows()) of the projection as the rows of `out`, count × k.
  void generate(Index first, MatrixRef<T> out) const {
    if (kind_ == ProjectionKind::gaussian) {
      generate_normal(stream_, first, out.rows(), rows_, scale_, out.data(), out.outerStride());
    } else {
      generate_rademacher(stream_, first, out.rows(), rows_, scale_, out.data(), out.outerStride());
    }
  }

  /// Keeps the whole matrix from here on.
  void store() { store({0, columns_}); }
  /// Keeps some columns from here on, and serves them alone.
  void store(Part columns) {
    first_stored_ = columns.begin;
    stored_.resize(columns.size(), rows_);
    generate(columns.begin, stored_);
  }
  /// Positions whose columns it serves.
  [[nodiscard]] Part held() const {
    return stored_.size() == 0 ? Part{0, columns_} : Part{first_stored_, first_stored_ + stored_.rows()};
  }

  void accumulate(const Positions& tokens, const ConstMatrixRef<T>& features, MatrixRef<T> out, Vector<T>* ones,
                  const Compute& compute) const {
    accumulate_dense<T>(rows_, tokens, features, out, ones, compute,
                        [&](const Positions& part, MatrixRef<T> columns) { read_columns(part, columns); });
  }

  /// Writes the columns at these positions, below n, as the rows of `out`, count × k.
  void read_columns(const Positions& tokens, MatrixRef<T> out) const {
    if (stored_.size() == 0 && tokens.list == nullptr) {
      generate(tokens.first, out);
      return;
    }
    for (Index j = 0; j < tokens.count; ++j) {
      if (stored_.size() == 0) {
        generate(tokens[j], out.row(j));
      } else {
        out.row(j) = stored_.row(tokens[j] - first_stored_);
      }
    }
  }

 private:
  ProjectionKind kind_;
  Index rows_, columns_;
  T scale_;
  RandomStream stream_;
  Index first_stored_ = 0;
  Matrix<T> stored_{};  ///< some of n × k, or empty
};

}  // namespace linformer::inline LINFORMER_ABI
