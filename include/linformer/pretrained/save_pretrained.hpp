#pragma once

#include <linformer/core/utf8.hpp>
#include <linformer/io/printable.hpp>
#include <linformer/io/safetensors_writer.hpp>
#include <linformer/model/masked_language_model.hpp>
#include <linformer/model/sequence_classifier.hpp>
#include <linformer/pretrained/checkpoint_keys.hpp>

#include <algorithm>
#include <deque>
#include <filesystem>
#include <vector>

namespace linformer::inline LINFORMER_ABI {

namespace detail {

/// Tensors as transformers has them: under its names, positions with the rows that no token reads, of zeros, and a type
/// of zeros for a model without types.
template <Scalar T>
class HuggingFaceTensors {
 public:
  HuggingFaceTensors(CheckpointKeys keys, Index position_offset)
      : keys_(std::move(keys)), position_offset_(position_offset) {}

  void add(const std::string& parameter, Shape shape, std::span<const T> values) {
    const std::string key = keys_.of(parameter).front();
    if (parameter == "embeddings.position_embeddings.weight" && position_offset_ > 0) {
      Matrix<T>& table = tables_.emplace_back(Matrix<T>::Zero(position_offset_ + shape[0], shape[1]));
      std::copy(values.begin(), values.end(), table.row(position_offset_).data());
      add_table(key, table);
    } else {
      tensors_.push_back(safetensors_tensor(key, shape, values));
    }
  }
  void add_type(Index width) {
    add_table(keys_.of("embeddings.token_type_embeddings.weight").front(),
              tables_.emplace_back(Matrix<T>::Zero(1, width)));
  }
  [[nodiscard]] const std::vector<SafetensorsTensor>& tensors() const { return tensors_; }

 private:
  void add_table(const std::string& key, const Matrix<T>& table) {
    const Index shape[] = {table.rows(), table.cols()};
    tensors_.push_back(
        safetensors_tensor(key, shape, std::span<const T>(table.data(), static_cast<std::size_t>(table.size()))));
  }

  CheckpointKeys keys_;
  Index position_offset_;
  std::vector<SafetensorsTensor> tensors_;
  std::deque<Matrix<T>> tables_;  // stay in place, as tensors view them
};

/// Of a model that is no classifier.
inline void clear_classes(HuggingFaceConfig& config) {
  config.labels.clear();
  config.problem.reset();
}

/// @param model with `for_each_parameter`; @param config with the model's `encoder`
template <Scalar T, class Model>
void save_pretrained(const std::filesystem::path& folder, const Model& model, const HuggingFaceConfig& config,
                     PretrainedHead head) {
  require_whole(model);
  nlohmann::ordered_json json = to_json(config);
  const char* const architecture = config.architecture == PretrainedArchitecture::bert      ? "Bert"
                                   : config.architecture == PretrainedArchitecture::roberta ? "Roberta"
                                                                                            : "XLMRoberta";
  const char* const part = head == PretrainedHead::none                    ? "Model"
                           : head == PretrainedHead::masked_language_model ? "ForMaskedLM"
                                                                           : "ForSequenceClassification";
  json["architectures"] = {std::string(architecture) + part};
  HuggingFaceTensors<T> tensors(CheckpointKeys(config.architecture, head), config.position_offset());
  model.for_each_parameter(
      [&](const std::string& name, Shape shape, std::span<const T> values) { tensors.add(name, shape, values); });
  if (config.encoder.token_types == 0) tensors.add_type(config.encoder.model_width);
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) fail_file_access(folder.string(), "a folder that can be made", error.value());
  write_safetensors((folder / "model.safetensors").string(), tensors.tensors(), {{"format", "pt"}});
  write_file(folder / "config.json", json.dump(2) + "\n");
}

}  // namespace detail

// Models of softmax attention as `config.json` and `model.safetensors` of Hugging Face's transformers, which
// `from_pretrained` of its classes reads, as does `load_pretrained_…`. Every value is written as it is. How the
// architecture calls its tensors, `like.architecture`, is the caller's choice, as is the tokenizer's padding,
// `like.padding_id`, on which RoBERTa's positions depend: the configuration of a `Pretrained` model fits. A
// folder is made; the tokenizer's files are to be copied. All throw Error file_access, and unsupported, naming the
// field, for what transformers' models have not: Linformer attention, layer norm before each sublayer, positions that
// are not learned; and for a model that holds a part of its positions.

/// The encoder alone. BERT's class has a pooler besides, which transformers then draws at random.
template <Scalar T>
void save_pretrained(const std::filesystem::path& folder, const Encoder<T>& encoder, HuggingFaceConfig like) {
  like.encoder = encoder.config();
  detail::clear_classes(like);
  detail::save_pretrained<T>(folder, encoder, like, detail::PretrainedHead::none);
}

/// @throws Error unsupported, besides, for an activation of RoBERTa's head other than exact GELU
template <Scalar T>
void save_pretrained(const std::filesystem::path& folder, const MaskedLanguageModel<T>& model, HuggingFaceConfig like) {
  like.encoder = model.encoder().config();
  detail::clear_classes(like);
  detail::require(like.architecture == PretrainedArchitecture::bert || like.encoder.activation == Gelu::exact,
                  ErrorCode::unsupported, "activation", "exact GELU, as RoBERTa's masked-language-model head has it",
                  "tanh");
  detail::save_pretrained<T>(folder, model, like, detail::PretrainedHead::masked_language_model);
}

/// @param like with the names of all classes, or none, which are then called LABEL_0, LABEL_1, … as transformers does;
///   what the classes are, `like.problem`, transformers asks when it trains the model further
/// @throws Error unsupported, besides, for the pooling by mean; shape_mismatch for another number of names;
///   malformed_input for one that is not UTF-8
template <Scalar T>
void save_pretrained(const std::filesystem::path& folder, const SequenceClassifier<T>& model, HuggingFaceConfig like) {
  like.encoder = model.encoder().config();
  detail::require(model.pooling() == Pooling::first_token, ErrorCode::unsupported, "pooling",
                  "that of the first token, which transformers' classifiers read", "mean");
  const auto classes = static_cast<std::size_t>(model.classes());
  if (like.labels.empty()) like.labels = detail::unnamed_labels(model.classes());
  detail::require(like.labels.size() == classes, ErrorCode::shape_mismatch, "labels",
                  std::to_string(classes) + " names", std::to_string(like.labels.size()));
  for (const std::string& label : like.labels) {
    detail::require(!first_invalid_utf8(label), ErrorCode::malformed_input, "labels", "UTF-8", detail::printable(label));
  }
  detail::save_pretrained<T>(folder, model, like, detail::PretrainedHead::classifier);
}

}  // namespace linformer::inline LINFORMER_ABI
