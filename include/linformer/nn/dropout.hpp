#pragma once

#include <linformer/core/batch.hpp>
#include <linformer/core/random.hpp>

#include <array>
#include <cstdint>

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

 private:
  RandomStream stream_;
  std::uint64_t dropped_below_;
  T scale_;
};

}  // namespace linformer::inline LINFORMER_ABI
