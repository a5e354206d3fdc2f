#pragma once

#include <linformer/attention/config.hpp>
#include <linformer/attention/learned_projection.hpp>
#include <linformer/core/random.hpp>

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

  /// Keeps the whole k × n matrix from here on.
  void store() {
    Matrix<T> transposed(columns_, rows_);
    generate(0, transposed);
    stored_.weight = transposed.transpose();
  }

  void accumulate(const Positions& tokens, const ConstMatrixRef<T>& features, MatrixRef<T> out, Vector<T>* ones,
                  Workspace& workspace) const {
    if (stored_.weight.size() != 0) {
      stored_.accumulate(tokens, features, out, ones, workspace);
      return;
    }
    constexpr Index tile_rows = 256;  // the generated columns of a tile stay in the second-level cache
    const Workspace::Scope scope(workspace);
    auto tile = workspace.matrix<T>(std::min(tile_rows, tokens.count), rows_);
    for (Index begin = 0; begin < tokens.count; begin += tile_rows) {
      const Positions part = tokens.slice(begin, std::min(tile_rows, tokens.count - begin));
      auto columns = tile.topRows(part.count);
      if (part.list == nullptr) {
        generate(part.first, columns);
      } else {
        for (Index j = 0; j < part.count; ++j) generate(part[j], columns.row(j));
      }
      multiply_transposed_add<T>(columns, features.middleRows(begin, part.count), out);
      if (ones != nullptr) {
        for (Index j = 0; j < part.count; ++j) *ones += columns.row(j).transpose();
      }
    }
  }

 private:
  ProjectionKind kind_;
  Index rows_, columns_;
  T scale_;
  RandomStream stream_;
  LearnedProjection<T> stored_{};  ///< empty unless stored
};

}  // namespace linformer::inline LINFORMER_ABI
