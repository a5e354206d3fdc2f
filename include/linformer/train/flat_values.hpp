#pragma once

#include <linformer/core/parameters.hpp>
#include <linformer/parallel/part.hpp>

#include <algorithm>
#include <vector>

namespace linformer::inline LINFORMER_ABI {

/// The values of all parameters of a module as one sequence, in the order of its traversal unless another is asked for;
/// they stay the module's.
/// @tparam Value T, or const T to read only
template <class Value>
class FlatValues {
 public:
  /// Takes the values of a module, in memory that is used again.
  template <class Module>
  void assign(Module& module) {
    runs_.clear();
    size_ = 0;
    module.for_each_parameter([&](const ParameterName&, Shape, std::span<Value> values) { append(values); });
  }
  /// The same in another order of the parameters. @param order the place of each in the traversal
  template <class Module>
  void assign(Module& module, std::span<const std::size_t> order) {
    assign(module);
    traversed_.swap(runs_);
    runs_.clear();
    size_ = 0;
    for (const std::size_t place : order) append(traversed_[place].values);
  }

  [[nodiscard]] Index size() const { return size_; }

  /// Copies a part of the sequence out of the module. @param to part.size() values
  template <class T>
  void copy_to(Part part, T* to) const {
    for_each_run(part, [&](std::span<Value> run) { to = std::copy(run.begin(), run.end(), to); });
  }
  /// Copies a part of the sequence into the module. @param from part.size() values
  template <class T>
  void copy_from(Part part, const T* from) const {
    for_each_run(part, [&](std::span<Value> run) {
      std::copy_n(from, run.size(), run.begin());
      from += run.size();
    });
  }

 private:
  struct Run {
    Index begin;
    std::span<Value> values;
  };

  void append(std::span<Value> values) {
    runs_.push_back({size_, values});
    size_ += static_cast<Index>(values.size());
  }

  /// What of a part each parameter has, in order.
  template <class F>
  void for_each_run(Part part, const F& f) const {
    auto run = std::partition_point(runs_.begin(), runs_.end(), [&](const Run& each) {
      return each.begin + static_cast<Index>(each.values.size()) <= part.begin;
    });
    for (; run != runs_.end() && run->begin < part.end; ++run) {
      const Index end = run->begin + static_cast<Index>(run->values.size());
      const Index first = std::max(part.begin, run->begin), last = std::min(part.end, end);
      f(run->values.subspan(static_cast<std::size_t>(first - run->begin), static_cast<std::size_t>(last - first)));
    }
  }

  std::vector<Run> runs_;
  std::vector<Run> traversed_;  ///< where the order is another
  Index size_ = 0;
};

}  // namespace linformer::inline LINFORMER_ABI
