#pragma once

#include <linformer/kernels/frozen_operand.hpp>

#include <algorithm>
#include <span>
#include <vector>

namespace linformer::inline LINFORMER_ABI {

/// Keys and values that queries attend to: K̄ and V̄ of a projected context, or K and V themselves in softmax attention.
/// In the absorbed order a head's keys are W_Qᵀ·K̄ᵀ, its values V̄·W_Oᵀ, and heads stand behind each other.
template <Scalar T>
class KeysValues {
 public:
  /// The rows of one head that take part in its softmax.
  struct Head {
    Index rows = 0;              ///< how many
    Index first = 0;             ///< where they begin; 0 for every head unless W_Q and W_O are absorbed
    Index columns_of_p = 0;      ///< columns of P̄: k; in softmax attention, the context's length
    std::vector<Index> columns;  ///< column of P̄ of each row
    std::vector<T> score_bias;   ///< added to the scores; empty for none

    [[nodiscard]] Index column(Index row) const { return columns[static_cast<std::size_t>(row)]; }
    [[nodiscard]] std::span<const Index> columns_of(Index row, Index count) const {
      return std::span(columns).subspan(static_cast<std::size_t>(row), static_cast<std::size_t>(count));
    }
  };

  std::vector<Head> heads;

  /// Makes room for keys and values of h·d features, head by head, or, absorbed, of D features. Contents are not
  /// determined.
  /// @param rows most of any head; absorbed, of all heads together
  /// @param key_tile keys that lie together: products that take as many at a time then read neighbouring memory
  void resize(Index rows, Index width, bool absorbed, Index key_tile) {
    absorbed_ = absorbed;
    width_ = width;
    key_tile_ = std::clamp(key_tile, Index{1}, std::max(rows, Index{1}));
    keys_.resize(std::max((rows + key_tile_ - 1) / key_tile_, Index{1}) * width, key_tile_);
    values_.resize(rows, width);
    precision_ = Precision::full;
  }

  /// Rounds both, once they are written, to what products are computed in.
  void round(Isa isa, Precision precision) {
    precision_ = precision;
    if (precision == Precision::full) return;
    rounded_keys_.assign(keys_.block(), isa, precision);
    rounded_values_.assign(values_.block(), isa, precision);
  }

  /// What products read them in: that of the layer that made them.
  [[nodiscard]] Precision precision() const { return precision_; }
  /// Whether W_Q and W_O are folded in.
  [[nodiscard]] bool absorbed() const { return absorbed_; }
  /// Most rows of any head; absorbed, of all heads together.
  [[nodiscard]] Index rows() const { return values_.rows(); }
  /// h·d; absorbed, D
  [[nodiscard]] Index width() const { return width_; }
  /// Keys that lie together.
  [[nodiscard]] Index key_tile() const { return key_tile_; }
  /// width × count, a key a column, scaled by 1/√d: neighbouring keys of one tile.
  [[nodiscard]] auto keys(Index first, Index count) const {
    return keys_.block().block(first / key_tile_ * width_, first % key_tile_, width_, count);
  }
  [[nodiscard]] auto keys(Index first, Index count) {
    return keys_.block().block(first / key_tile_ * width_, first % key_tile_, width_, count);
  }
  /// rows × width, a value a row.
  [[nodiscard]] auto values() const { return values_.block(); }
  [[nodiscard]] auto values() { return values_.block(); }
  /// Both as products read them.
  [[nodiscard]] Operand<T> key_operand(Index first, Index count) const {
    if (!is_rounded()) return keys(first, count);
    return rounded_keys_.operand()
        .middle_rows(first / key_tile_ * width_, width_)
        .middle_cols(first % key_tile_, count);
  }
  [[nodiscard]] Operand<T> value_operand() const {
    return is_rounded() ? rounded_values_.operand() : Operand<T>(values());
  }

 private:
  [[nodiscard]] bool is_rounded() const { return precision_ != Precision::full; }

  bool absorbed_ = false;
  Index width_ = 0, key_tile_ = 1;
  Precision precision_ = Precision::full;
  detail::PaddedMatrix<T> keys_;  // (tiles · width) × key tile
  detail::PaddedMatrix<T> values_;
  FrozenOperand<T> rounded_keys_, rounded_values_;
};

}  // namespace linformer::inline LINFORMER_ABI
