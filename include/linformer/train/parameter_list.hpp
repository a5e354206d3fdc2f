#pragma once

#include <linformer/core/parameters.hpp>

#include <algorithm>
#include <cstddef>
#include <string>
#include <vector>

namespace linformer::inline LINFORMER_ABI {

/// One parameter of a module, as its traversal tells it; the values stay the module's.
template <class Value>
struct ParameterView {
  std::string name;
  std::vector<Index> shape;
  std::span<Value> values;
};

/// A run of values of a parameter.
struct ParameterCut {
  std::size_t parameter;  ///< place in the list
  std::size_t begin, count;
};

/// Values of all cuts but a parameter's last: enough that a thread has work, few enough that threads share it evenly.
inline constexpr std::size_t parameter_cut_length = 16384;

/// The parameters of a module in the order of its traversal. @tparam Value T, or const T to read only
template <class Value, class Module>
[[nodiscard]] std::vector<ParameterView<Value>> list_parameters(Module& module) {
  std::vector<ParameterView<Value>> list;
  module.for_each_parameter([&](const std::string& name, Shape shape, std::span<Value> values) {
    list.push_back({name, {shape.begin(), shape.end()}, values});
  });
  return list;
}

/// Cuts all values by their sizes alone, so that work done cut by cut does not depend on the number of threads.
template <class Value>
[[nodiscard]] std::vector<ParameterCut> cut_parameters(const std::vector<ParameterView<Value>>& list) {
  std::vector<ParameterCut> cuts;
  for (std::size_t i = 0; i < list.size(); ++i) {
    const std::size_t size = list[i].values.size();
    for (std::size_t begin = 0; begin < size; begin += parameter_cut_length) {
      cuts.push_back({i, begin, std::min(parameter_cut_length, size - begin)});
    }
  }
  return cuts;
}

namespace detail {

inline std::string parameter_text(const std::string& name, Shape shape) {
  std::string text = name;
  for (std::size_t i = 0; i < shape.size(); ++i) text += (i == 0 ? " of " : " x ") + std::to_string(shape[i]);
  return text;
}

/// @param what names the second list in errors
/// @throws Error parameter_mismatch unless both tell the same names and shapes in the same order
template <class Ours, class Theirs>
void require_same_parameters(const std::vector<Ours>& ours, const char* what, const std::vector<Theirs>& theirs) {
  for (std::size_t i = 0; i < std::max(ours.size(), theirs.size()); ++i) {
    const bool here = i < ours.size(), there = i < theirs.size();
    if (here && there && ours[i].name == theirs[i].name && ours[i].shape == theirs[i].shape) continue;
    throw Error(ErrorCode::parameter_mismatch, what,
                here ? parameter_text(ours[i].name, ours[i].shape) : std::string("no further parameter"),
                there ? parameter_text(theirs[i].name, theirs[i].shape) : std::string("no further parameter"));
  }
}

}  // namespace detail

}  // namespace linformer::inline LINFORMER_ABI
