#pragma once

#include <linformer/pretrained/checkpoint.hpp>
#include <linformer/pretrained/hugging_face_config.hpp>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace linformer::inline LINFORMER_ABI::detail {

/// What is read of a checkpoint beside its encoder.
enum class PretrainedHead { none, masked_language_model, classifier };

/// How the tensors of a checkpoint are called, as Hugging Face's models of an architecture name their parts.
class CheckpointKeys {
 public:
  /// Those that transformers gives a model: with the encoder's own beginning where it has a head.
  CheckpointKeys(PretrainedArchitecture architecture, PretrainedHead head)
      : bert_(architecture == PretrainedArchitecture::bert), head_(head) {
    if (head != PretrainedHead::none) prefix_ = own_prefix();
  }

  /// Finds out whether names of the encoder begin with its own, `bert.` or `roberta.`, as in a model with a head.
  /// @throws SafetensorsFailure unexpected_tensor for an encoder under each name
  CheckpointKeys(const Checkpoint& checkpoint, PretrainedArchitecture architecture, PretrainedHead head)
      : bert_(architecture == PretrainedArchitecture::bert), head_(head) {
    const std::string own = own_prefix();
    std::string bare;
    bool with = false;
    for (const auto& [key, file] : checkpoint.places()) {
      with = with || key.starts_with(own + "embeddings.") || key.starts_with(own + "encoder.");
      if (key.starts_with("embeddings.") || key.starts_with("encoder.")) bare = key;
    }
    if (with && !bare.empty()) {
      throw SafetensorsFailure(SafetensorsError::unexpected_tensor, checkpoint.file_of(bare).name(), bare,
                               "one encoder, " + own, "a second one");
    }
    if (with) prefix_ = own;
  }

  /// The keys that may hold a parameter of ours, the usual one first. Where a checkpoint has several they are copies.
  [[nodiscard]] std::vector<std::string> of(const std::string& parameter) const {
    std::vector<std::string> keys = {parameter};
    if (parameter.starts_with("embeddings.") || parameter.starts_with("encoder.")) {
      keys.front() = prefix_ + parameter;
    }
    const auto rename = [&](std::string_view ours, const std::string& theirs) {
      if (parameter.starts_with(ours)) keys.front() = theirs + parameter.substr(ours.size());
    };
    if (bert_) {
      rename("lm_head.dense.", "cls.predictions.transform.dense.");
      rename("lm_head.layer_norm.", "cls.predictions.transform.LayerNorm.");
      rename("lm_head.bias", "cls.predictions.bias");
      rename("classifier.dense.", prefix_ + "pooler.dense.");
      rename("classifier.out_proj.", "classifier.");
    }
    const std::string decoder = bert_ ? "cls.predictions.decoder" : "lm_head.decoder";
    if (parameter == "lm_head.bias") keys.push_back(decoder + ".bias");
    if (parameter == "embeddings.word_embeddings.weight" && head_ == PretrainedHead::masked_language_model) {
      keys.push_back(decoder + ".weight");
    }
    // As TensorFlow names the scale and the shift of a norm.
    const std::string usual = keys.front();
    for (const auto& [end, older] : {std::pair(".weight", ".gamma"), std::pair(".bias", ".beta")}) {
      if (!usual.ends_with(std::string("LayerNorm") + end)) continue;
      keys.push_back(usual.substr(0, usual.size() - std::string_view(end).size()) + older);
    }
    return keys;
  }

  /// Why a tensor that holds no parameter of ours may be there, or nothing.
  [[nodiscard]] std::optional<std::string> reason_to_ignore(std::string_view key) const {
    if (key == prefix_ + "embeddings.position_ids") return "the numbers of positions, which are no weights";
    if (key == prefix_ + "embeddings.token_type_ids") return "types of tokens, which are no weights";
    if (key == prefix_ + "pooler.dense.weight" || key == prefix_ + "pooler.dense.bias") {
      if (!bert_ || head_ != PretrainedHead::classifier) return "the pooler, which classifiers alone read";
    }
    const auto of_head = [&](std::string_view start, PretrainedHead head) {
      return key.starts_with(start) && head_ != head;
    };
    if (of_head(bert_ ? "cls.predictions." : "lm_head.", PretrainedHead::masked_language_model)) {
      return "the masked-language-model head, which was not asked for";
    }
    if (of_head("classifier.", PretrainedHead::classifier)) return "a classification head, which was not asked for";
    if (bert_ && key.starts_with("cls.seq_relationship.")) return "the head of next-sentence prediction";
    if (key.starts_with("qa_outputs.")) return "the head of question answering";
    return std::nullopt;
  }

 private:
  [[nodiscard]] std::string own_prefix() const { return bert_ ? "bert." : "roberta."; }

  bool bert_;
  PretrainedHead head_;
  std::string prefix_;
};

}  // namespace linformer::inline LINFORMER_ABI::detail
