#pragma once

#include <linformer/core/batch.hpp>
#include <linformer/core/random.hpp>
#include <linformer/kernels/vector_kernels.hpp>

#include <array>
#include <cstdint>
#include <limits>
#include <span>

namespace linformer::inline LINFORMER_ABI {

/// The address of a training step's draws. With the sample's index, head, token position and column it determines each
/// draw, so that batching, tiles, threads, recomputation and machines change nothing.
struct DropoutAddress {
  std::uint64_t seed = 0;
  std::uint64_t step = 0;          ///< of training
  std::uint64_t site = 0;          ///< of the model, e.g. the layer
  std::uint64_t first_sample = 0;  ///< global index of the first sequence of this call
};

/// Inverted dropout of one head of one sample: entry (token position, column) survives with probability 1 − rate and is
/// then scaled by 1/(1 − rate).
template <Scalar T>
class HeadDropout {
 public:
  HeadDropout(const DropoutAddress& address, std::uint64_t sample, std::uint64_t head, double rate)
      : stream_(RandomStream(address.seed)
                    .derive("dropout")
                    .derive(address.step, address.site)
                    .derive(address.first_sample + sample, head)),
        dropped_below_(static_cast<std::uint64_t>(rate * 4294967296.0)),
        scale_(static_cast<T>(1 / (1 - rate))) {}

  /// Whether an entry survives.
  [[nodiscard]] bool keeps(Index position, Index column) const {
    const auto words = stream_.words(static_cast<std::uint64_t>(position), static_cast<std::uint64_t>(column / 4));
    return words[static_cast<std::size_t>(column % 4)] >= dropped_below_;
  }

  /// Drops entries of a tile of weights. @param rows position of each row, @param column_of column of each weight
  template <class Weights, class ColumnOf>
  void apply(const Positions& rows, const ColumnOf& column_of, Weights&& weights) const {
    for (Index i = 0; i < weights.rows(); ++i) {
      Index group = -1;
      std::array<std::uint32_t, 4> words{};
      for (Index j = 0; j < weights.cols(); ++j) {
        const Index column = column_of(j);
        if (column / 4 != group) {
          group = column / 4;
          words = stream_.words(static_cast<std::uint64_t>(rows[i]), static_cast<std::uint64_t>(group));
        }
        weights(i, j) *= words[static_cast<std::size_t>(column % 4)] >= dropped_below_ ? scale_ : T{0};
      }
    }
  }

  /// Drops entries of a tile of weights that lies keys × queries, by the kernels of a path where they can.
  /// @param queries position of each query, @param columns column of P̄ of each key, increasing
  void apply_to_queries(Isa isa, const Positions& queries, std::span<const Index> columns, MatrixRef<T> weights) const {
    eigen_assert(weights.rows() == static_cast<Index>(columns.size()) && weights.cols() == queries.count);
    if (columns.empty() || queries.count == 0) return;
#if LINFORMER_HAS_VECTOR_KERNELS
    if constexpr (std::same_as<T, float>) {
      const bool follow_each_other = columns.back() - columns.front() + 1 == static_cast<Index>(columns.size());
      if (isa != Isa::eigen && follow_each_other && columns.front() % 4 == 0 && can_count(queries, columns.back())) {
        const auto key = stream_.key();
        detail::vector_kernels(isa).drop_queries(
            weights.rows(), weights.cols(), weights.data(), weights.outerStride(), static_cast<unsigned>(queries.first),
            static_cast<unsigned>(columns.front()), key[0], key[1], static_cast<unsigned>(dropped_below_), scale_);
        return;
      }
    }
#endif
    apply(
        queries, [&](Index j) { return columns[static_cast<std::size_t>(j)]; }, weights.transpose());
  }

  /// Drops entries of rows, a column its own address, by the kernels of a path where they can.
  void apply_to_rows(Isa isa, const Positions& positions, MatrixRef<T> rows) const {
    eigen_assert(rows.rows() == positions.count);
#if LINFORMER_HAS_VECTOR_KERNELS
    if constexpr (std::same_as<T, float>) {
      if (isa != Isa::eigen && can_count(positions, rows.cols())) {
        const auto key = stream_.key();
        detail::vector_kernels(isa).drop_rows(rows.rows(), rows.cols(), rows.data(), rows.outerStride(),
                                              static_cast<unsigned>(positions.first), key[0], key[1],
                                              static_cast<unsigned>(dropped_below_), scale_);
        return;
      }
    }
#endif
    apply(
        positions, [](Index j) { return j; }, rows);
  }

 private:
  /// Whether the kernels can address these: positions that follow each other, in 32 bits.
  [[nodiscard]] static bool can_count(const Positions& positions, Index last_column) {
    constexpr Index most = std::numeric_limits<std::int32_t>::max();
    return positions.list == nullptr && positions.first <= most - positions.count && last_column < most;
  }

  RandomStream stream_;
  std::uint64_t dropped_below_;
  T scale_;
};

}  // namespace linformer::inline LINFORMER_ABI
