#pragma once

#include <linformer/core/workspace.hpp>
#include <linformer/parallel/world_view.hpp>

#include <vector>

namespace linformer::inline LINFORMER_ABI {

namespace detail {

/// Memory in which the values of one collective lie together.
template <Scalar T>
struct CollectiveBuffer {
  std::vector<T> values;
};

/// Has one collective work on values that lie in many places. Nothing is sent where there are none.
/// @param collective called with all of them as one span
/// @param visit called twice as visit(f), which calls f(values) for each place, in the same order: values are a range
///   of numbers, counts among them, which the collective sees as T
template <Scalar T, class Collective, class Visit>
void combine(const Collective& collective, const Visit& visit, Workspace& workspace) {
  std::vector<T>& buffer = workspace.kept<CollectiveBuffer<T>>().values;
  buffer.clear();
  visit([&](const auto& values) {
    for (const auto value : values) buffer.push_back(static_cast<T>(value));
  });
  if (buffer.empty()) return;
  collective(std::span<T>(buffer));
  auto combined = buffer.cbegin();
  visit([&](auto&& values) {
    for (auto& value : values) value = static_cast<std::remove_reference_t<decltype(value)>>(*combined++);
  });
}

/// Values become their sums over the processes of a world.
template <Scalar T, class Visit>
void combine_sums(const WorldView& world, const Visit& visit, Workspace& workspace) {
  combine<T>([&](std::span<T> values) { world.sum(values); }, visit, workspace);
}
/// Values become their maxima over the processes of a world.
template <Scalar T, class Visit>
void combine_maxima(const WorldView& world, const Visit& visit, Workspace& workspace) {
  combine<T>([&](std::span<T> values) { world.maximum(values); }, visit, workspace);
}

/// Of marks that are not zero on some processes, the first such process keeps its own, as 1; all others become zero.
template <Scalar T>
void keep_first_marks(const WorldView& world, std::span<T> marks) {
  const auto own = static_cast<T>(world.size() - world.rank());  // largest on the first process
  std::vector<T> first(marks.begin(), marks.end());
  for (T& mark : first) mark = mark != 0 ? own : T{0};
  world.maximum(std::span<T>(first));
  for (std::size_t i = 0; i < marks.size(); ++i) marks[i] = marks[i] != 0 && first[i] == own ? T{1} : T{0};
}

}  // namespace detail

}  // namespace linformer::inline LINFORMER_ABI
