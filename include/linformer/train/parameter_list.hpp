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

/// The values of all parameters of a module in the order of its traversal, and the cuts that threads take of them, in
/// memory that is used again. Values are cut by their sizes alone, so that work done cut by cut does not depend on the
/// number of threads.
template <class Value>
class ParameterValues {
 public:
  /// Takes the values of a module, which stay the module's.
  /// @param check called as check(i, name, shape) for the i-th parameter: may throw
  template <class Module, class Check>
  void assign(Module& module, const Check& check) {
    values_.clear();
    cuts_.clear();
    module.for_each_parameter([&](const ParameterName& name, Shape shape, std::span<Value> values) {
      const std::size_t i = values_.size();
      check(i, name, shape);
      values_.push_back(values);
      for (std::size_t begin = 0; begin < values.size(); begin += parameter_cut_length) {
        cuts_.push_back({i, begin, std::min(parameter_cut_length, values.size() - begin)});
      }
    });
  }
  template <class Module>
  void assign(Module& module) {
    assign(module, [](std::size_t, const ParameterName&, Shape) {});
  }

  /// Number of parameters.
  [[nodiscard]] std::size_t size() const { return values_.size(); }
  [[nodiscard]] const std::vector<ParameterCut>& cuts() const { return cuts_; }
  [[nodiscard]] std::span<Value> operator[](const ParameterCut& cut) const {
    return values_[cut.parameter].subspan(cut.begin, cut.count);
  }

 private:
  std::vector<std::span<Value>> values_;
  std::vector<ParameterCut> cuts_;
};

namespace detail {

inline std::string parameter_text(const ParameterName& name, Shape shape) {
  std::string text = name;
  for (std::size_t i = 0; i < shape.size(); ++i) text += (i == 0 ? " of " : " x ") + std::to_string(shape[i]);
  return text;
}

/// The i-th parameter is one of this name and shape, or should not be there.
/// @param ours what the parameters should be, with name and shape; @param what names the others in errors
/// @throws Error parameter_mismatch
template <class Ours>
void require_parameter(const std::vector<Ours>& ours, const char* what, std::size_t i, const ParameterName& name,
                       Shape shape) {
  if (i < ours.size() && name == ours[i].name && std::ranges::equal(shape, ours[i].shape)) return;
  throw Error(ErrorCode::parameter_mismatch, what,
              i < ours.size() ? parameter_text(ours[i].name, ours[i].shape) : std::string("no further parameter"),
              parameter_text(name, shape));
}

/// No parameter is missing of those that should be there. @throws Error parameter_mismatch
template <class Ours>
void require_all_parameters(const std::vector<Ours>& ours, const char* what, std::size_t count) {
  if (count >= ours.size()) return;
  throw Error(ErrorCode::parameter_mismatch, what, parameter_text(ours[count].name, ours[count].shape),
              "no further parameter");
}

/// @param what names the second list in errors
/// @throws Error parameter_mismatch unless both tell the same names and shapes in the same order
template <class Ours, class Theirs>
void require_same_parameters(const std::vector<Ours>& ours, const char* what, const std::vector<Theirs>& theirs) {
  for (std::size_t i = 0; i < theirs.size(); ++i) require_parameter(ours, what, i, theirs[i].name, theirs[i].shape);
  require_all_parameters(ours, what, theirs.size());
}

}  // namespace detail

}  // namespace linformer::inline LINFORMER_ABI
