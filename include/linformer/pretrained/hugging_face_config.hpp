#pragma once

#include <linformer/model/config_json.hpp>

#include <array>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace linformer::inline LINFORMER_ABI {

/// Encoders of Hugging Face's that can be read.
enum class PretrainedArchitecture { bert, roberta, xlm_roberta };

/// What the outputs of a classifier's head are taken for: logits of classes of which one is right, of labels that each
/// may be right, or numbers. transformers chooses the loss by it.
enum class ProblemType { regression, single_label_classification, multi_label_classification };

/// What a `config.json` of Hugging Face's says.
struct HuggingFaceConfig {
  PretrainedArchitecture architecture = PretrainedArchitecture::bert;
  EncoderConfig encoder{};            ///< with Mechanism::softmax_tiled
  std::optional<Index> padding_id{};  ///< of the padding token; nothing: the architecture's, 0 of BERT and 1 of RoBERTa
  std::vector<std::string> labels{};  ///< of classes, in their order, or none
  std::optional<ProblemType> problem{};  ///< of a classifier, where it is said

  /// The padding token's id. Layers never see one, as a padded token does not exist.
  [[nodiscard]] Index padding() const {
    return padding_id.value_or(architecture == PretrainedArchitecture::bert ? 0 : 1);
  }
  /// Rows at the start of the table of positions that no token reads: RoBERTa's, whose first token has the position
  /// after its padding's.
  [[nodiscard]] Index position_offset() const {
    return architecture == PretrainedArchitecture::bert ? 0 : padding() + 1;
  }
};

namespace detail {

inline constexpr EnumNames<PretrainedArchitecture, 3> architecture_names{
    {{"bert", PretrainedArchitecture::bert},
     {"roberta", PretrainedArchitecture::roberta},
     {"xlm-roberta", PretrainedArchitecture::xlm_roberta}}};
inline constexpr EnumNames<ProblemType, 3> problem_names{
    {{"regression", ProblemType::regression},
     {"single_label_classification", ProblemType::single_label_classification},
     {"multi_label_classification", ProblemType::multi_label_classification}}};
inline constexpr EnumNames<Gelu, 3> hugging_face_activations{
    {{"gelu", Gelu::exact}, {"gelu_new", Gelu::tanh}, {"gelu_pytorch_tanh", Gelu::tanh}}};

/// Fields that say nothing about what an encoder or one of its heads computes: where it comes from, how its texts are
/// cut into tokens, how it was drawn, how its calls are made, and leftovers of other models and of text generation.
inline constexpr std::array harmless_fields{"_attn_implementation_autoset",
                                            "_name_or_path",
                                            "_num_labels",
                                            "architectures",
                                            "attn_implementation",
                                            "bad_words_ids",
                                            "bos_token_id",
                                            "chunk_size_feed_forward",
                                            "cls_token_id",
                                            "directionality",
                                            "do_sample",
                                            "dtype",
                                            "early_stopping",
                                            "eos_token_id",
                                            "eos_token_ids",
                                            "finetuning_task",
                                            "gradient_checkpointing",
                                            "initializer_range",
                                            "label2id",
                                            "length_penalty",
                                            "mask_token_id",
                                            "max_length",
                                            "min_length",
                                            "name_or_path",
                                            "no_repeat_ngram_size",
                                            "num_beams",
                                            "num_return_sequences",
                                            "output_attentions",
                                            "output_hidden_states",
                                            "output_past",
                                            "pooler_fc_size",
                                            "pooler_num_attention_heads",
                                            "pooler_num_fc_layers",
                                            "pooler_size_per_head",
                                            "pooler_type",
                                            "repetition_penalty",
                                            "return_dict",
                                            "sep_token_id",
                                            "task_specific_params",
                                            "temperature",
                                            "tokenizer_class",
                                            "top_k",
                                            "top_p",
                                            "torch_dtype",
                                            "torchscript",
                                            "transformers_version",
                                            "unk_token_id",
                                            "use_bfloat16",
                                            "use_cache",
                                            "xla_device"};

/// Fields that may say what an encoder here does anyway, as JSON, and nothing else.
inline constexpr std::array<std::pair<const char*, const char*>, 8> fixed_fields{
    {{"add_cross_attention", "false"},
     {"cross_attention_hidden_size", "null"},
     {"is_decoder", "false"},
     {"is_encoder_decoder", "false"},
     {"position_embedding_type", "\"absolute\""},
     {"pruned_heads", "{}"},
     {"quantization_config", "null"},
     {"tie_word_embeddings", "true"}}};

/// A number of classes that no tensor has confirmed yet.
inline constexpr Index most_labels = 1 << 20;

/// LABEL_0, LABEL_1, …: transformers' names of classes that have none.
[[nodiscard]] inline std::vector<std::string> unnamed_labels(Index count) {
  std::vector<std::string> labels;
  for (Index i = 0; i < count; ++i) labels.push_back("LABEL_" + std::to_string(i));
  return labels;
}

/// The names of classes in `id2label`, an object of their numbers, or as transformers calls them where `num_labels`
/// alone says how many there are.
[[nodiscard]] inline std::vector<std::string> class_labels(FieldReader& reader) {
  nlohmann::json ids = nlohmann::json::object();
  if (reader.has("id2label")) reader.take("id2label", ids);
  std::vector<std::string> labels;
  while (ids.is_object() && labels.size() < ids.size()) {
    const auto found = ids.find(std::to_string(labels.size()));
    if (found == ids.end() || !found->is_string()) break;
    labels.push_back(found->get<std::string>());
  }
  require(ids.is_object() && labels.size() == ids.size(), ErrorCode::invalid_configuration, "id2label",
          "a name for each class from \"0\" on", shown(ids));
  std::optional<Index> count;
  reader.take_optional("num_labels", count);
  if (!count) return labels;
  require_config(*count >= 1 && *count <= most_labels, "num_labels", "from 1 to " + std::to_string(most_labels),
                 *count);
  if (labels.empty()) labels = unnamed_labels(*count);
  require_config(*count == static_cast<Index>(labels.size()), "num_labels",
                 "as many as id2label has, " + std::to_string(labels.size()), *count);
  return labels;
}

/// @throws Error invalid_configuration for a padding token beyond the vocabulary
inline void require_padding(const HuggingFaceConfig& config) {
  const Index words = config.encoder.vocabulary_size;
  require_config(!config.padding_id || (*config.padding_id >= 0 && *config.padding_id < words), "pad_token_id",
                 "an id below vocab_size, " + std::to_string(words), config.padding());
}

[[nodiscard]] inline HuggingFaceConfig hugging_face_config(FieldReader reader) {
  HuggingFaceConfig result;
  EncoderConfig& encoder = result.encoder;
  encoder.mechanism = Mechanism::softmax_tiled;
  reader.take("model_type", architecture_names, result.architecture);
  const bool bert = result.architecture == PretrainedArchitecture::bert;
  reader.take("vocab_size", encoder.vocabulary_size);
  reader.take("hidden_size", encoder.model_width);
  reader.take("num_hidden_layers", encoder.layers);
  reader.take("num_attention_heads", encoder.heads);
  reader.take("intermediate_size", encoder.feed_forward_width);
  require_config(encoder.feed_forward_width >= 1, "intermediate_size", "at least 1", encoder.feed_forward_width);
  require_config(encoder.heads >= 1 && encoder.model_width % encoder.heads == 0, "num_attention_heads",
                 "a divisor of hidden_size " + std::to_string(encoder.model_width), encoder.heads);
  Index positions = 0;
  reader.take("max_position_embeddings", positions);
  const auto take = [&](const char* name, auto& value) {  // what has a default there, the one given
    if (reader.has(name)) reader.take(name, value);
  };
  encoder.token_types = 2;
  encoder.layer_norm_epsilon = 1e-12;
  take("type_vocab_size", encoder.token_types);
  take("layer_norm_eps", encoder.layer_norm_epsilon);
  take("hidden_dropout_prob", encoder.dropout);
  take("attention_probs_dropout_prob", encoder.attention_dropout);
  if (bert) {  // its padding has no say in positions, and may be null
    reader.take_optional("pad_token_id", result.padding_id);
  } else if (reader.has("pad_token_id")) {
    reader.take("pad_token_id", result.padding_id.emplace());
  }
  require_padding(result);
  require_config(bert || positions > result.position_offset(), "max_position_embeddings",
                 "more than pad_token_id + 1, " + std::to_string(result.padding()) + " + 1, that no token has",
                 positions);
  encoder.sequence_length = positions - result.position_offset();
  if (reader.has("hidden_act")) reader.take("hidden_act", hugging_face_activations, encoder.activation);
  nlohmann::json head_dropout;
  take("classifier_dropout", head_dropout);
  require(head_dropout.is_null() || head_dropout == encoder.dropout, ErrorCode::unsupported, "classifier_dropout",
          "that of hidden_dropout_prob, or null", shown(head_dropout));
  result.labels = class_labels(reader);
  reader.take_optional("problem_type", result.problem, problem_names);
  for (const auto& [name, json] : fixed_fields) {
    const nlohmann::json expected = parse_json(json, name);
    nlohmann::json value = expected;
    take(name, value);
    require(value == expected, ErrorCode::unsupported, name, json, shown(value));
  }
  for (const char* name : harmless_fields) {
    nlohmann::json ignored;
    take(name, ignored);
  }
  reader.finish();
  encoder = resolved(encoder);
  static_cast<void>(resolved(attention_config(encoder)));
  return result;
}

}  // namespace detail

/// As transformers has it, but for `architectures`. A model without token types gets one, whose vector is to be zero.
/// @param config with a resolved encoder
/// @throws Error unsupported, naming the field, for an encoder that transformers has not; invalid_configuration for a
///   padding token beyond its vocabulary
[[nodiscard]] inline nlohmann::ordered_json to_json(const HuggingFaceConfig& config) {
  const EncoderConfig& encoder = config.encoder;
  const auto require = [](bool holds, const char* field, const char* expected, const std::string& actual) {
    detail::require(holds, ErrorCode::unsupported, field, expected, actual);
  };
  require(encoder.mechanism != Mechanism::linformer, "mechanism", "softmax attention, as transformers has no other",
          "linformer");
  require(encoder.positions == PositionKind::learned, "positions", "learned ones, as transformers has them",
          detail::name_in(detail::position_names, encoder.positions));
  require(!encoder.pre_norm, "pre_norm", "layer norm after each sublayer, as transformers has it", "before");
  detail::require_padding(config);
  nlohmann::ordered_json json = {{"model_type", detail::name_in(detail::architecture_names, config.architecture)},
                                 {"vocab_size", encoder.vocabulary_size},
                                 {"hidden_size", encoder.model_width},
                                 {"num_hidden_layers", encoder.layers},
                                 {"num_attention_heads", encoder.heads},
                                 {"intermediate_size", encoder.feed_forward_width},
                                 {"max_position_embeddings", encoder.sequence_length + config.position_offset()},
                                 {"type_vocab_size", std::max(encoder.token_types, Index{1})},
                                 {"pad_token_id", config.padding()},
                                 {"hidden_act", detail::name_in(detail::hugging_face_activations, encoder.activation)},
                                 {"layer_norm_eps", encoder.layer_norm_epsilon},
                                 {"hidden_dropout_prob", encoder.dropout},
                                 {"attention_probs_dropout_prob", encoder.attention_dropout}};
  for (std::size_t i = 0; i < config.labels.size(); ++i) {
    json["id2label"][std::to_string(i)] = config.labels[i];
    json["label2id"][config.labels[i]] = i;
  }
  if (config.problem) json["problem_type"] = detail::name_in(detail::problem_names, *config.problem);
  return json;
}

/// Reads a `config.json` of Hugging Face's transformers, of BERT, RoBERTa or XLM-RoBERTa. Sizes must be there; other
/// fields that are left out have the values that transformers gives them.
/// @throws Error naming file and field: as `read_json`; invalid_configuration for a field that is missing, of another
/// type or out of range; unsupported for a field, or a value of one, that the
/// encoder has not
[[nodiscard]] inline HuggingFaceConfig read_hugging_face_config(const std::filesystem::path& path) {
  const nlohmann::json json = read_json(path);
  return detail::within(path.string(), [&] { return detail::hugging_face_config(detail::FieldReader(json)); });
}

}  // namespace linformer::inline LINFORMER_ABI
