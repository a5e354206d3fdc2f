#pragma once

#include <linformer/model/claimed_sizes.hpp>
#include <linformer/model/masked_language_model.hpp>
#include <linformer/model/sequence_classifier.hpp>
#include <linformer/pretrained/import_parameters.hpp>

namespace linformer::inline LINFORMER_ABI {

/// A model with weights from a checkpoint, what its configuration said, and which of its tensors were left aside.
template <class Model>
struct Pretrained {
  Model model;
  HuggingFaceConfig config;
  ImportReport report;
};

namespace detail {

/// @throws as `find_source` unless the checkpoint has that parameter in that shape
inline void require_shape_of(const Checkpoint& checkpoint, const CheckpointKeys& keys, const std::string& parameter,
                             Shape shape, Index skipped_rows = 0) {
  std::set<std::string, std::less<>> ignored;
  static_cast<void>(find_source(checkpoint, keys.of(parameter), shape, skipped_rows, ignored));
}

/// Holds the configuration's sizes against the checkpoint's, so that no model is made of sizes that a file only claims.
inline void require_sizes(const Checkpoint& checkpoint, const CheckpointKeys& keys, const HuggingFaceConfig& config) {
  for_each_claimed_size(config.encoder, [&](const std::string& parameter, Shape shape) {
    const bool positions = parameter == "embeddings.position_embeddings.weight";
    require_shape_of(checkpoint, keys, parameter, shape, positions ? config.position_offset() : 0);
  });
}

/// @param make called as make(config, checkpoint, keys): the model, of the configuration's shapes
template <class Make>
[[nodiscard]] auto load_pretrained(const std::filesystem::path& folder, PretrainedHead head, const Make& make) {
  HuggingFaceConfig config = read_hugging_face_config(folder / "config.json");
  const Checkpoint checkpoint = Checkpoint::open(folder);
  const CheckpointKeys keys(checkpoint, config.architecture, head);
  require_sizes(checkpoint, keys, config);
  auto model = make(config, checkpoint, keys);
  ImportReport report = import_parameters(checkpoint, keys, config.position_offset(), model);
  return Pretrained<decltype(model)>{std::move(model), std::move(config), std::move(report)};
}

}  // namespace detail

// Checkpoints of Hugging Face's BERT, RoBERTa and XLM-RoBERTa: a folder with `config.json` and `model.safetensors`, or
// files by an index, of F32, F16, BF16 or F64. Rows of RoBERTa's positions that no token has are left out. All throw
// Error, naming the file: file_access; as `read_hugging_face_config`; unsupported for a decoder that is not tied to the
// word embeddings. And SafetensorsFailure, naming file and tensor: one that is missing, not known, no number, or of
// another shape than the configuration's; a file that breaks a rule of its format.

/// The encoder alone, whatever head is in the checkpoint. Its output is transformers' `last_hidden_state`. A classifier
/// or language model of the same configuration takes it over: `classifier.encoder() = std::move(loaded.model)`;
/// `to_linformer` makes a Linformer of it.
template <Scalar T>
[[nodiscard]] Pretrained<Encoder<T>> load_pretrained_encoder(const std::filesystem::path& folder) {
  return detail::load_pretrained(
      folder, detail::PretrainedHead::none,
      [&](const HuggingFaceConfig& config, const auto&...) { return Encoder<T>(config.encoder, 0); });
}

/// The encoder and the head of `BertForMaskedLM` and its like. @throws Error unsupported, besides, for RoBERTa whose
/// activation is not `gelu`, which its head has in any case
template <Scalar T>
[[nodiscard]] Pretrained<MaskedLanguageModel<T>> load_pretrained_masked_language_model(
    const std::filesystem::path& folder) {
  return detail::load_pretrained(
      folder, detail::PretrainedHead::masked_language_model, [&](const HuggingFaceConfig& config, const auto&...) {
        detail::require(config.architecture == PretrainedArchitecture::bert || config.encoder.activation == Gelu::exact,
                        ErrorCode::unsupported, (folder / "config.json").string() + ": hidden_act",
                        "gelu, as RoBERTa's masked-language-model head has it", "another");
        return MaskedLanguageModel<T>(config.encoder, 0);
      });
}

/// The encoder and the head of `BertForSequenceClassification` and its like, BERT's pooler being its dense layer. In
/// training a dropout more than theirs comes before BERT's pooler. What its outputs are taken for is in
/// `config.problem`: the forward is the same.
template <Scalar T>
[[nodiscard]] Pretrained<SequenceClassifier<T>> load_pretrained_classifier(const std::filesystem::path& folder) {
  return detail::load_pretrained(
      folder, detail::PretrainedHead::classifier,
      [&](const HuggingFaceConfig& config, const Checkpoint& checkpoint, const detail::CheckpointKeys& keys) {
        auto classes = static_cast<Index>(config.labels.size());
        if (classes == 0) {  // none are named: as many as there are
          const std::string key = keys.of("classifier.out_proj.bias").front();
          const SafetensorsTensor& bias = *checkpoint.file_of(key).find(key);
          classes = bias.shape.size() == 1 ? std::max(bias.shape.front(), Index{1}) : 1;
        }
        const Index shape[] = {classes, config.encoder.model_width};
        detail::require_shape_of(checkpoint, keys, "classifier.out_proj.weight", shape);
        return SequenceClassifier<T>(config.encoder, classes, Pooling::first_token, 0);
      });
}

}  // namespace linformer::inline LINFORMER_ABI
