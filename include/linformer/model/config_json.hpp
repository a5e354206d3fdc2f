#pragma once

#include <linformer/io/json.hpp>
#include <linformer/model/config.hpp>

#include <algorithm>
#include <array>
#include <concepts>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace linformer::inline LINFORMER_ABI {

// Configurations as JSON, fields named as in Hugging Face's config.json where it has them. Needs nlohmann-json.

namespace detail {

template <class Enum, std::size_t N>
using EnumNames = std::array<std::pair<std::string_view, Enum>, N>;

inline constexpr EnumNames<Mechanism, 3> mechanism_names{{{"linformer", Mechanism::linformer},
                                                          {"softmax", Mechanism::softmax},
                                                          {"softmax_tiled", Mechanism::softmax_tiled}}};
inline constexpr EnumNames<Sharing, 4> sharing_names{{{"none", Sharing::none},
                                                      {"headwise", Sharing::headwise},
                                                      {"key_value", Sharing::key_value},
                                                      {"layerwise", Sharing::layerwise}}};
inline constexpr EnumNames<ProjectionKind, 8> projection_kind_names{
    {{"learned", ProjectionKind::learned},
     {"gaussian", ProjectionKind::gaussian},
     {"rademacher", ProjectionKind::rademacher},
     {"mean_pooling", ProjectionKind::mean_pooling},
     {"growing_pooling", ProjectionKind::growing_pooling},
     {"max_pooling", ProjectionKind::max_pooling},
     {"convolution", ProjectionKind::convolution},
     {"depthwise_convolution", ProjectionKind::depthwise_convolution}}};
inline constexpr EnumNames<FixedScale, 2> fixed_scale_names{
    {{"paper", FixedScale::paper}, {"preserving", FixedScale::preserving}}};
inline constexpr EnumNames<Gelu, 2> activation_names{{{"gelu", Gelu::exact}, {"gelu_pytorch_tanh", Gelu::tanh}}};
inline constexpr EnumNames<PositionKind, 3> position_names{
    {{"learned", PositionKind::learned}, {"sinusoidal", PositionKind::sinusoidal}, {"none", PositionKind::none}}};

template <class Enum, std::size_t N>
[[nodiscard]] std::string name_in(const EnumNames<Enum, N>& names, Enum value) {
  for (const auto& [name, each] : names) {
    if (each == value) return std::string(name);
  }
  throw Error(ErrorCode::invalid_configuration, "configuration", "a value with a name", "another");
}

/// Takes fields out of an object one by one, so that those left over can be told.
class FieldReader {
 public:
  explicit FieldReader(nlohmann::json object) : object_(std::move(object)) {
    require(object_.is_object(), ErrorCode::invalid_configuration, "configuration", "a JSON object",
            object_.type_name());
  }

  [[nodiscard]] bool has(const char* name) const { return object_.contains(name); }

  /// @throws Error invalid_configuration if the field is missing or of another type
  template <class Value>
  void take(const char* name, Value& value) {
    const auto found = object_.find(name);
    require(found != object_.end(), ErrorCode::invalid_configuration, name, "a field of the configuration", "none");
    if constexpr (std::same_as<Value, Index> || std::same_as<Value, std::vector<Index>>) {
      const auto is_index = [](const nlohmann::json& each) {  // written as unsigned or not, by its reader or by us
        if (each.is_number_unsigned()) {
          return each.get<std::uint64_t>() <= static_cast<std::uint64_t>(std::numeric_limits<Index>::max());
        }
        return each.is_number_integer() && each.get<Index>() >= 0;
      };
      const bool fits = std::same_as<Value, Index>
                            ? is_index(*found)
                            : found->is_array() && std::all_of(found->begin(), found->end(), is_index);
      require(fits, ErrorCode::invalid_configuration, name, "whole numbers of at least 0", shown(*found));
    }
    try {
      value = found->get<Value>();
    } catch (const nlohmann::json::exception&) {
      throw Error(ErrorCode::invalid_configuration, name, "a value of its type", shown(*found));
    }
    object_.erase(found);
  }
  template <class Enum, std::size_t N>
  void take(const char* name, const EnumNames<Enum, N>& names, Enum& value) {
    std::string text;
    take(name, text);
    std::string expected;
    for (const auto& [each, result] : names) {
      if (each == text) {
        value = result;
        return;
      }
      expected.append(expected.empty() ? "" : ", ").append(each);
    }
    throw Error(ErrorCode::invalid_configuration, name, "one of " + expected, text);
  }
  /// Of a field that is null or left out nothing is taken. @param how as `take` has it beside the name
  template <class Value, class... How>
  void take_optional(const char* name, std::optional<Value>& value, const How&... how) {
    const auto found = object_.find(name);
    if (found == object_.end()) return;
    if (found->is_null()) {
      object_.erase(found);
    } else {
      take(name, how..., value.emplace());
    }
  }
  /// @throws Error unsupported if a field is left
  void finish() const {
    if (object_.empty()) return;
    throw Error(ErrorCode::unsupported, object_.begin().key(), "no such field", shown(*object_.begin()));
  }

 private:
  nlohmann::json object_;
};

}  // namespace detail

/// `type_vocab_size` is there with token types alone. @param config resolved
[[nodiscard]] inline nlohmann::ordered_json to_json(const EncoderConfig& config) {
  nlohmann::ordered_json json = {
      {"model_type", "linformer"},
      {"vocab_size", config.vocabulary_size},
      {"max_position_embeddings", config.sequence_length},
      {"num_hidden_layers", config.layers},
      {"hidden_size", config.model_width},
      {"num_attention_heads", config.heads},
      {"intermediate_size", config.feed_forward_width},
      {"mechanism", detail::name_in(detail::mechanism_names, config.mechanism)},
      {"projected_length", config.projected_length.list()},
      {"sharing", detail::name_in(detail::sharing_names, config.sharing)},
      {"projection", detail::name_in(detail::projection_kind_names, config.projection.kind)},
      {"projection_scale", detail::name_in(detail::fixed_scale_names, config.projection.scale)},
      {"projection_stored", config.projection.stored},
      {"projection_log_count", config.projection.log_count},
      {"projection_bias", config.projection.bias},
      {"position_embedding_type", detail::name_in(detail::position_names, config.positions)},
      {"hidden_act", detail::name_in(detail::activation_names, config.activation)},
      {"pre_norm", config.pre_norm},
      {"layer_norm_eps", config.layer_norm_epsilon},
      {"hidden_dropout_prob", config.dropout},
      {"attention_probs_dropout_prob", config.attention_dropout}};
  if (config.token_types > 0) json["type_vocab_size"] = config.token_types;
  return json;
}

/// @throws Error invalid_configuration for a field that is missing or of another type; unsupported for one too many
[[nodiscard]] inline EncoderConfig encoder_config_from_json(const nlohmann::json& json) {
  detail::FieldReader reader(json);
  EncoderConfig config;
  std::string type;
  reader.take("model_type", type);
  detail::require(type == "linformer", ErrorCode::unsupported, "model_type", "linformer", type);
  std::vector<Index> lengths;
  reader.take("vocab_size", config.vocabulary_size);
  reader.take("max_position_embeddings", config.sequence_length);
  reader.take("num_hidden_layers", config.layers);
  reader.take("hidden_size", config.model_width);
  reader.take("num_attention_heads", config.heads);
  reader.take("intermediate_size", config.feed_forward_width);
  reader.take("mechanism", detail::mechanism_names, config.mechanism);
  reader.take("projected_length", lengths);
  config.projected_length = lengths;
  reader.take("sharing", detail::sharing_names, config.sharing);
  reader.take("projection", detail::projection_kind_names, config.projection.kind);
  reader.take("projection_scale", detail::fixed_scale_names, config.projection.scale);
  reader.take("projection_stored", config.projection.stored);
  reader.take("projection_log_count", config.projection.log_count);
  reader.take("projection_bias", config.projection.bias);
  reader.take("position_embedding_type", detail::position_names, config.positions);
  if (reader.has("type_vocab_size")) reader.take("type_vocab_size", config.token_types);
  reader.take("hidden_act", detail::activation_names, config.activation);
  reader.take("pre_norm", config.pre_norm);
  reader.take("layer_norm_eps", config.layer_norm_epsilon);
  reader.take("hidden_dropout_prob", config.dropout);
  reader.take("attention_probs_dropout_prob", config.attention_dropout);
  reader.finish();
  config = resolved(config);
  static_cast<void>(resolved(attention_config(config)));
  return config;
}

/// The same, of a file. @throws Error naming file and field: as `read_json` and `encoder_config_from_json`
[[nodiscard]] inline EncoderConfig read_encoder_config(const std::filesystem::path& path) {
  const nlohmann::json json = read_json(path);
  return detail::within(path.string(), [&] { return encoder_config_from_json(json); });
}

}  // namespace linformer::inline LINFORMER_ABI
