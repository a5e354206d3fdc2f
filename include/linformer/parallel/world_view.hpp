#pragma once

#include <linformer/parallel/world.hpp>

namespace linformer::inline LINFORMER_ABI {

/// A nullable, non-owning view of a world of any kind, for optional arguments: calls that take one are compiled once,
/// whatever carries the messages. The viewed world must outlive it. Without a world it is one process, alone.
class WorldView {
 public:
  WorldView() = default;
  template <class W>  // a copy of a view is not asked whether it is a world: that would ask for its copies again
  requires(!std::same_as<std::remove_const_t<W>, WorldView> && World<W>)
      WorldView(W& world)  // NOLINT(google-explicit-constructor): a view, like std::span
      : world_(&world), calls_(&calls_of<W>) {}

  [[nodiscard]] explicit operator bool() const noexcept { return world_ != nullptr; }
  [[nodiscard]] Index rank() const { return world_ != nullptr ? calls_->rank(world_) : 0; }
  [[nodiscard]] Index size() const { return world_ != nullptr ? calls_->size(world_) : 1; }

  /// See `World`.
  void sum(std::span<float> values) const {
    if (world_ != nullptr) calls_->sum_floats(world_, values);
  }
  void sum(std::span<double> values) const {
    if (world_ != nullptr) calls_->sum_doubles(world_, values);
  }
  void maximum(std::span<float> values) const {
    if (world_ != nullptr) calls_->maximum_floats(world_, values);
  }
  void maximum(std::span<double> values) const {
    if (world_ != nullptr) calls_->maximum_doubles(world_, values);
  }

 private:
  struct Calls {
    Index (*rank)(const void* world);
    Index (*size)(const void* world);
    void (*sum_floats)(void* world, std::span<float> values);
    void (*sum_doubles)(void* world, std::span<double> values);
    void (*maximum_floats)(void* world, std::span<float> values);
    void (*maximum_doubles)(void* world, std::span<double> values);
  };
  template <class W>
  static constexpr Calls calls_of{
      [](const void* world) { return static_cast<const W*>(world)->rank(); },
      [](const void* world) { return static_cast<const W*>(world)->size(); },
      [](void* world, std::span<float> values) { static_cast<W*>(world)->sum(values); },
      [](void* world, std::span<double> values) { static_cast<W*>(world)->sum(values); },
      [](void* world, std::span<float> values) { static_cast<W*>(world)->maximum(values); },
      [](void* world, std::span<double> values) { static_cast<W*>(world)->maximum(values); },
  };

  void* world_ = nullptr;
  const Calls* calls_ = nullptr;
};

}  // namespace linformer::inline LINFORMER_ABI
