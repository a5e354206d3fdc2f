#pragma once

#include <linformer/attention/projection.hpp>

#include <numeric>
#include <vector>

namespace linformer::inline LINFORMER_ABI {

/// The two things that a head projects.
enum class Side { key, value };

/// The projections that one attention layer sees: those of its heads, owned elsewhere.
template <Scalar T>
struct LayerProjections {
  std::vector<const Projection<T>*> key, value;  ///< one for each head
};

namespace detail {

/// k of a layer and head. @throws Error invalid_configuration if the list fits neither layers nor heads.
[[nodiscard]] inline Index projected_length(const ProjectionSetConfig& config, Index layer, Index head) {
  const std::vector<Index>& list = config.projected_length.list();
  const auto size = static_cast<Index>(list.size());
  const auto at = [&](Index i) { return list[static_cast<std::size_t>(i)]; };
  if (size == 1) return at(0);
  const bool by_layer = size == config.layers;
  const bool by_layer_and_head = size == config.layers * config.heads;
  const bool by_head = size == config.heads;
  detail::require_config(by_layer || by_head || by_layer_and_head, "projected_length",
                         "1 number, one a layer (" + std::to_string(config.layers) + "), one a head (" +
                             std::to_string(config.heads) + ") or one a layer and head (" +
                             std::to_string(config.layers * config.heads) + ")",
                         size);
  if (by_layer) {
    detail::require_config(config.sharing != Sharing::layerwise, "projected_length", "1 number with layerwise sharing",
                           size);
    return at(layer);
  }
  detail::require_config(config.sharing == Sharing::none, "projected_length",
                         "1 number or one a layer where heads share their projections", size);
  return at(by_layer_and_head ? layer * config.heads + head : head);
}

/// f(layer, head, name) for each distinct projection, in their order, with the first layer and head that read it. Its
/// name is `projections[.layer][.head][.key|.value]`, shared indices left out.
template <class Visitor>
void for_each_distinct_projection(const ProjectionSetConfig& config, const Visitor& f) {
  const bool by_head = config.sharing == Sharing::none;
  const bool by_layer = config.sharing != Sharing::layerwise;
  const bool by_side = config.sharing == Sharing::none || config.sharing == Sharing::headwise;
  for (Index layer = 0; layer < (by_layer ? config.layers : 1); ++layer) {
    for (Index head = 0; head < (by_head ? config.heads : 1); ++head) {
      for (int side = 0; side < (by_side ? 2 : 1); ++side) {
        std::string name = "projections";
        if (by_layer) name.append(".").append(std::to_string(layer));
        if (by_head) name.append(".").append(std::to_string(head));
        if (by_side) name += side == 0 ? ".key" : ".value";
        f(layer, head, std::move(name));
      }
    }
  }
}

}  // namespace detail

/// Owns the distinct projections of a model and maps (layer, head, key | value) to one of them: 2·L·h, 2·L, L or 1 of
/// them without sharing and with headwise, key-value and layerwise sharing (Section 4). A plain value: copies are deep.
template <Scalar T>
class ProjectionSet {
 public:
  ProjectionSet() = default;

  /// Weights are drawn N(0, 1/n), so that K̄ is as large as K; convolutions start as the mean of their window. A column
  /// is the same whichever are held.
  /// @throws Error invalid_configuration or size_overflow
  ProjectionSet(const ProjectionSetConfig& config, std::uint64_t seed) : config_(config) {
    detail::require_config(config.layers >= 1, "layers", "at least 1", config.layers);
    detail::require_config(config.heads >= 1, "heads", "at least 1", config.heads);
    detail::checked_size("layers x heads", {config.layers, config.heads, 2});
    const Part held = detail::part_or_all("held", config.held, config.sequence_length);
    const RandomStream stream = RandomStream(seed).derive("projections");
    detail::for_each_distinct_projection(config, [&](Index layer, Index head, std::string name) {
      // E and F of a fixed projection are one draw (Theorem 2): the stream does not depend on the side.
      const RandomStream draw = stream.derive(static_cast<std::uint64_t>(layer), static_cast<std::uint64_t>(head));
      distinct_.push_back(make_projection<T>(config.projection, detail::projected_length(config, layer, head),
                                             config.sequence_length, config.head_width, draw, held));
      names_.push_back(std::move(name));
    });
    initialise(RandomStream(seed));
  }

  [[nodiscard]] const ProjectionSetConfig& config() const { return config_; }
  /// Number of distinct projections.
  [[nodiscard]] Index distinct() const { return static_cast<Index>(distinct_.size()); }

  /// The projection of a head's keys (E) or values (F).
  [[nodiscard]] const Projection<T>& projection(Index layer, Index head, Side side) const {
    return distinct_[index(layer, head, side)];
  }
  [[nodiscard]] Projection<T>& projection(Index layer, Index head, Side side) {
    return distinct_[index(layer, head, side)];
  }

  /// The same projections for inference alone: learned ones stored as products read them. They have no parameters to
  /// visit, and nothing else changes.
  [[nodiscard]] ProjectionSet frozen(Precision precision) const {
    ProjectionSet result;
    result.config_ = config_;
    result.names_ = names_;
    for (const Projection<T>& projection : distinct_) result.distinct_.push_back(projection.frozen(precision));
    return result;
  }

  /// What the block of a layer needs. Valid as long as this set neither moves nor ends.
  [[nodiscard]] LayerProjections<T> layer(Index layer) const {
    LayerProjections<T> view;
    read_layer(layer, view);
    return view;
  }
  /// The same, into memory that is used again.
  void read_layer(Index layer, LayerProjections<T>& view) const {
    view.key.clear();
    view.value.clear();
    for (Index head = 0; head < config_.heads; ++head) {
      view.key.push_back(&projection(layer, head, Side::key));
      view.value.push_back(&projection(layer, head, Side::value));
    }
  }

  /// Names of the parameters of which a part is held, if any: columns of learned E and F.
  [[nodiscard]] std::vector<std::string> partial_parameters() const {
    std::vector<std::string> names;
    for (std::size_t i = 0; i < distinct_.size(); ++i) {
      const bool learned = std::holds_alternative<LearnedProjection<T>>(distinct_[i].kind());
      if (learned && distinct_[i].held().size() != distinct_[i].columns()) names.push_back(names_[i] + ".weight");
    }
    return names;
  }

  /// f(name, shape, values): `projections[.layer][.head][.key|.value].weight` and `.bias`, shared indices left out.
  void for_each_parameter(const ParameterVisitor<T>& visitor) {
    for (std::size_t i = 0; i < distinct_.size(); ++i) distinct_[i].for_each_parameter(names_[i], visitor);
  }
  void for_each_parameter(const ParameterVisitor<const T>& visitor) const {
    for (std::size_t i = 0; i < distinct_.size(); ++i) distinct_[i].for_each_parameter(names_[i], visitor);
  }
  /// The same of those projections alone that this layer reads and none before it: backward, which goes from the last
  /// layer to the first, completes their gradients there.
  void for_each_parameter_first_read_by(std::size_t layer, const ParameterVisitor<const T>& visitor) const {
    const std::size_t readers = config_.sharing == Sharing::layerwise ? 1 : static_cast<std::size_t>(config_.layers);
    if (layer >= readers) return;
    const std::size_t count = distinct_.size() / readers, first = layer * count;
    for (std::size_t i = first; i < first + count; ++i) distinct_[i].for_each_parameter(names_[i], visitor);
  }

 private:
  static void require_below(const char* name, Index value, Index bound) {
    detail::require(
        value >= 0 && value < bound, ErrorCode::invalid_configuration, name,
        [&] { return "below " + std::to_string(bound); }, [&] { return std::to_string(value); });
  }

  [[nodiscard]] std::size_t index(Index layer, Index head, Side side) const {
    require_below("layer", layer, config_.layers);
    require_below("head", head, config_.heads);
    const Index second = side == Side::value ? 1 : 0;
    switch (config_.sharing) {
      case Sharing::none:
        return static_cast<std::size_t>((layer * config_.heads + head) * 2 + second);
      case Sharing::headwise:
        return static_cast<std::size_t>(layer * 2 + second);
      case Sharing::key_value:
        return static_cast<std::size_t>(layer);
      case Sharing::layerwise:
        break;
    }
    return 0;
  }

  void initialise(const RandomStream& stream) {
    const bool learned = config_.projection.kind == ProjectionKind::learned;
    const Index n = config_.sequence_length;
    const Index first = config_.held ? config_.held->begin : 0;
    const T scale = T{1} / std::sqrt(static_cast<T>(n));
    for_each_parameter([&](const std::string& name, Shape shape, std::span<T> values) {
      if (name.ends_with(".bias")) return;
      if (learned) {
        const RandomStream draws = stream.derive(name);
        const std::size_t columns = values.size() / static_cast<std::size_t>(shape.front());
        for (Index row = 0; row < shape.front(); ++row) {
          fill_normal(values.subspan(static_cast<std::size_t>(row) * columns, columns), draws, scale, row * n + first);
        }
      } else {
        std::fill(values.begin(), values.end(), T{1} / static_cast<T>(shape.back()));
      }
    });
  }

  ProjectionSetConfig config_{};
  std::vector<Projection<T>> distinct_;
  std::vector<std::string> names_;
};

}  // namespace linformer::inline LINFORMER_ABI
