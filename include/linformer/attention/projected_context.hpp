#pragma once

#include <linformer/attention/plan.hpp>
#include <linformer/attention/projected_sum.hpp>
#include <linformer/attention/projection_set.hpp>

namespace linformer::inline LINFORMER_ABI {

/// What the tokens of a context add up to: E·X (or E·K and F·V) of those seen so far. It accumulates chunk by chunk and
/// merges with that of other tokens of the same sequence; memory O(k·D), whatever the length.
/// `AttentionBlock` fills it and turns it into keys and values.
template <Scalar T>
class ProjectedContext {
 public:
  ProjectedContext() = default;

  /// No token yet.
  void reset(Order order, std::size_t sums) {
    order_ = order;
    sums_.resize(sums);
    tokens_ = 0;
    extent_ = 0;
  }

  /// The order in which it was accumulated.
  [[nodiscard]] Order order() const { return order_; }
  /// Tokens seen.
  [[nodiscard]] Index tokens() const { return tokens_; }
  /// One past the last position seen, of a present token or an absent one: where the next chunk begins unless it says
  /// otherwise.
  [[nodiscard]] Index extent() const { return extent_; }
  [[nodiscard]] const std::vector<ProjectedSum<T>>& sums() const { return sums_; }
  [[nodiscard]] std::vector<ProjectedSum<T>>& sums() { return sums_; }

  /// Takes note of tokens that were added to the sums.
  void note_tokens(const Positions& tokens) {
    tokens_ += tokens.count;
    extend(tokens.extent());
  }
  /// Takes note of where a chunk ended, absent tokens at its end among them.
  void extend(Index extent) { extent_ = std::max(extent_, extent); }

  /// Adds what another context of the same layer has seen of the same sequence.
  /// That it was this layer is not checked beyond shapes.
  /// @throws Error shape_mismatch if it belongs to a layer of another shape or was accumulated in another order
  void merge(const ProjectedContext& other) {
    detail::require(other.order_ == order_ && other.sums_.size() == sums_.size(), ErrorCode::shape_mismatch,
                    "projected context", "a context of the same layer, accumulated in the same order", "another");
    for (std::size_t i = 0; i < sums_.size(); ++i) {
      detail::require_shape("projected context", other.sums_[i].rows(), other.sums_[i].width(), sums_[i].rows(),
                            sums_[i].width());
    }
    for (std::size_t i = 0; i < sums_.size(); ++i) sums_[i].merge(other.sums_[i]);
    tokens_ += other.tokens_;
    extent_ = std::max(extent_, other.extent_);
  }

 private:
  Order order_ = Order::direct;
  std::vector<ProjectedSum<T>> sums_;
  Index tokens_ = 0, extent_ = 0;
};

/// Which sums a layer keeps, and which of them each head reads. Heads and sides whose projections are the same matrix
/// share a sum.
template <Scalar T>
class ContextStreams {
 public:
  /// One E·Z, where Z is the input X, or the columns of some heads of K or of V.
  struct Stream {
    enum class Source { input, keys, values };
    Source source;
    const Projection<T>* projection;
    Index first_column, columns;  ///< of Z
  };
  /// Where a head finds its projected keys or values before weights are applied.
  struct Place {
    std::size_t stream;
    Index column;  ///< first of the head's d columns; 0 for the input
  };

  /// Becomes the streams of a layer; memory is used again.
  void assign(Order order, const LayerProjections<T>& projections, Index context_width, Index head_width) {
    order_ = order;
    streams_.clear();
    key_.clear();
    value_.clear();
    if (projects_input()) {
      for (const auto* projection : projections.key) key_.push_back(share_input(projection, context_width));
      for (const auto* projection : projections.value) value_.push_back(share_input(projection, context_width));
    } else {
      add_heads(projections.key, Stream::Source::keys, head_width, key_);
      add_heads(projections.value, Stream::Source::values, head_width, value_);
    }
  }

  [[nodiscard]] Order order() const { return order_; }
  /// Whether E is applied to the input, before W_K and W_V.
  [[nodiscard]] bool projects_input() const { return order_ != Order::direct; }
  [[nodiscard]] const std::vector<Stream>& streams() const { return streams_; }
  [[nodiscard]] const Place& place(Side side, Index head) const {
    return (side == Side::key ? key_ : value_)[static_cast<std::size_t>(head)];
  }

  /// @throws Error shape_mismatch if a context was not made for these streams
  void require_match(const ProjectedContext<T>& context) const {
    bool matches = context.sums().size() == streams_.size();
    for (std::size_t i = 0; matches && i < streams_.size(); ++i) {
      const ProjectedSum<T>& sum = context.sums()[i];
      matches = sum.rows() == streams_[i].projection->rows() && sum.width() == streams_[i].columns &&
                sum.reduction() == streams_[i].projection->reduction();
    }
    detail::require(matches, ErrorCode::shape_mismatch, "projected context", "a context of this layer", "another");
  }

  /// Makes a context one without tokens.
  void reset(ProjectedContext<T>& context) const {
    context.reset(order_, streams_.size());
    for (std::size_t i = 0; i < streams_.size(); ++i) {
      context.sums()[i].reset(streams_[i].projection->rows(), streams_[i].columns, streams_[i].projection->reduction());
    }
  }

 private:
  Place share_input(const Projection<T>* projection, Index context_width) {
    for (std::size_t i = 0; i < streams_.size(); ++i) {
      if (streams_[i].projection->same_rows(*projection)) return {i, 0};
    }
    streams_.push_back({Stream::Source::input, projection, 0, context_width});
    return {streams_.size() - 1, 0};
  }

  /// Neighbouring heads of one projection take one product, unless its kernels belong to the features of a head.
  void add_heads(const std::vector<const Projection<T>*>& projections, typename Stream::Source source, Index head_width,
                 std::vector<Place>& places) {
    for (std::size_t head = 0; head < projections.size(); ++head) {
      const bool joins = head > 0 && projections[head]->feature_width() == 0 &&
                         projections[head]->same_rows(*streams_.back().projection);
      if (joins) {
        streams_.back().columns += head_width;
      } else {
        streams_.push_back({source, projections[head], static_cast<Index>(head) * head_width, head_width});
      }
      places.push_back({streams_.size() - 1, streams_.back().columns - head_width});
    }
  }

  Order order_ = Order::direct;
  std::vector<Stream> streams_;
  std::vector<Place> key_, value_;
};

}  // namespace linformer::inline LINFORMER_ABI
