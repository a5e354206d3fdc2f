#pragma once

#include <linformer/core/parameters.hpp>
#include <linformer/parallel/world.hpp>
#include <linformer/train/flat_values.hpp>

#include <algorithm>
#include <deque>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace linformer::inline LINFORMER_ABI {

/// Gradients of a model become their sums over processes, in buckets that are on their way while backward goes on.
///
/// Values lie in the order in which backward completes them, whatever parameters they belong to, and are cut into
/// buckets of so many: small parameters share a message. The sum of a bucket starts once its last value is complete, in
/// every process in the same order, whenever each comes there. A started bucket has memory of its own; there is memory
/// for some of them, so that large models need no second copy of their gradients.
template <Scalar T, World W>
class GradientSums {
 public:
  /// Buckets that are under way at a time.
  static constexpr std::size_t most_under_way = 16;

  /// @param model whose gradients are summed; where it has no `for_each_completed_parameter`, all are complete at the
  ///   end of backward alone
  /// @param bucket values, at least 1
  template <class Model>
  GradientSums(W world, const Model& model, Index bucket) : world_(std::move(world)) {
    std::map<std::string, Index, std::less<>> layers;
    const auto take = [&](std::size_t layer, const std::string& name) { layers[name] = static_cast<Index>(layer); };
    if constexpr (requires { model.for_each_completed_parameter(take); }) model.for_each_completed_parameter(take);
    struct Parameter {
      std::size_t place;
      Index values, layer;
    };
    std::vector<Parameter> parameters;
    model.for_each_parameter([&](const std::string& name, Shape, auto values) {
      const auto its = layers.find(name);
      parameters.push_back(
          {parameters.size(), static_cast<Index>(values.size()), its != layers.end() ? its->second : end_of_backward});
    });
    std::ranges::stable_sort(parameters, std::greater<>(), &Parameter::layer);
    Index begin = 0, end = 0;
    for (const Parameter& parameter : parameters) {
      order_.push_back(parameter.place);
      end += parameter.values;
      const bool last = order_.size() == parameters.size();
      for (; end - begin >= bucket || (last && begin < end); begin = buckets_.back().values.end) {
        buckets_.push_back({{begin, std::min(begin + bucket, end)}, parameter.layer});
      }
    }
  }

  /// Backward has gone through this layer, and will not add to what it has completed: starts the sums of that, in as
  /// many buckets as there is memory for, and takes up those that have come.
  /// @param gradients of the model
  template <class Module>
  void complete(Module& gradients, std::size_t layer) {
    values_.assign(gradients, order_);
    start_completed(static_cast<Index>(layer));
  }

  /// Backward has ended: all gradients become their sums. Of a step in which nothing was told to be complete as well.
  template <class Module>
  void finish(Module& gradients) {
    values_.assign(gradients, order_);
    start_completed(end_of_backward);
    while (!under_way_.empty()) {
      take_up_oldest();
      if (started_ < buckets_.size()) start_next();
    }
    started_ = 0;
  }

  /// Backward has failed: waits for what has been started, which other processes start as well, and forgets it.
  void abandon() {
    under_way_.clear();
    started_ = 0;
  }

 private:
  static constexpr Index end_of_backward = -1;  // after layer 0

  struct Bucket {
    Part values;
    Index layer;  ///< whose backward completes it
  };

  void start_completed(Index layer) {
    for (;;) {
      while (!under_way_.empty() && under_way_.front().ready()) take_up_oldest();
      const bool completed = started_ < buckets_.size() && buckets_[started_].layer >= layer;
      if (!completed || under_way_.size() == most_under_way) return;
      start_next();
    }
  }

  void start_next() {
    const std::span<T> memory = memory_of(started_);
    values_.copy_to(buckets_[started_].values, memory.data());
    under_way_.push_back(world_.start_sum(memory));
    ++started_;
  }
  void take_up_oldest() {
    const std::size_t oldest = started_ - under_way_.size();
    under_way_.front().wait();
    under_way_.pop_front();
    values_.copy_from(buckets_[oldest].values, memory_of(oldest).data());
  }

  /// Buckets take it in turns: a bucket's is that of the one `most_under_way` before it.
  std::span<T> memory_of(std::size_t bucket) {
    const Index size = buckets_.front().values.size();  // the last alone may be smaller
    const auto turns = static_cast<Index>(std::min(most_under_way, buckets_.size()));
    if (memory_.size() == 0) memory_.resize(turns * size);
    return {memory_.data() + static_cast<Index>(bucket) % turns * size,
            static_cast<std::size_t>(buckets_[bucket].values.size())};
  }

  W world_;
  std::vector<std::size_t> order_;  ///< places of parameters in the traversal, as backward completes them
  std::vector<Bucket> buckets_;     ///< of values in that order
  FlatValues<T> values_;            ///< of the gradients of the call
  std::size_t started_ = 0;         ///< buckets, the last of which are under way
  Vector<T> memory_;                ///< outlives what writes to it
  std::deque<decltype(std::declval<W&>().start_sum(std::declval<std::span<T>>()))> under_way_;  ///< the oldest first
};

}  // namespace linformer::inline LINFORMER_ABI
