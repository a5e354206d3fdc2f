#include <linformer/pretrained/load_pretrained.hpp>

#include "pretrained/checkpoint_files.hpp"
#include "support/resources.hpp"

// What cannot be read is told with its file and tensor or field.

namespace {

SafetensorsFailure failure_of_encoder(const TemporaryFolder& folder) {
  return failure_of<SafetensorsFailure>([&] { static_cast<void>(load_pretrained_encoder<float>(folder.path())); });
}

void check_failure(const SafetensorsFailure& failure, SafetensorsError rule, const std::string& tensor) {
  INFO(failure.what());
  CHECK(failure.rule() == rule);
  CHECK(failure.tensor() == tensor);
}

}  // namespace

TEST_CASE("every tensor that is missing is named with its file", "[pretrained]") {
  for (const std::string name : {"bert_masked_lm", "roberta_masked_lm"}) {
    const EditedCheckpoint whole(name);
    for (const auto& tensor : whole.tensors) {
      EditedCheckpoint without(name);
      without.remove(tensor.name);
      const TemporaryFolder folder;
      without.save(folder);
      const auto failure = failure_of<SafetensorsFailure>(
          [&] { static_cast<void>(load_pretrained_masked_language_model<float>(folder.path())); });
      check_failure(failure, SafetensorsError::missing_tensor, folder.file("model.safetensors") + ": " + tensor.name);
    }
  }
}

TEST_CASE("a classifier's head must be there", "[pretrained]") {
  check_error([] { static_cast<void>(load_pretrained_classifier<float>(pretrained_fixture("roberta_masked_lm"))); },
              ErrorCode::malformed_input,
              (pretrained_fixture("roberta_masked_lm") / "model.safetensors").string() + ": classifier.out_proj.bias");
  EditedCheckpoint bert("bert_classifier");
  bert.remove("bert.pooler.dense.weight");
  const TemporaryFolder folder;
  bert.save(folder);
  check_error([&] { static_cast<void>(load_pretrained_classifier<float>(folder.path())); }, ErrorCode::malformed_input,
              folder.file("model.safetensors") + ": bert.pooler.dense.weight");
}

TEST_CASE("a tensor that nothing reads is named with its file", "[pretrained]") {
  for (const std::string extra :
       {"bert.encoder.layer.2.output.dense.bias", "bert.encoder.layer.0.attention.self.distance_embedding.weight",
        "bert.encoder.layer.0.attention.self.query.lora_A", "embedding", "bert.pooler.dense.other"}) {
    EditedCheckpoint edited("bert_classifier");
    edited.copy("classifier.bias", extra);
    const TemporaryFolder folder;
    edited.save(folder);
    check_failure(failure_of_encoder(folder), SafetensorsError::unexpected_tensor,
                  folder.file("model.safetensors") + ": " + extra);
  }
  EditedCheckpoint two("bert_classifier");
  two.copy("bert.embeddings.LayerNorm.weight", "embeddings.LayerNorm.weight");
  const TemporaryFolder folder;
  two.save(folder);
  CHECK(failure_of_encoder(folder).rule() == SafetensorsError::unexpected_tensor);
}

TEST_CASE("shapes that contradict the configuration are named before a model is made of them", "[pretrained]") {
  const std::pair<const char*, const char*> cases[] = {
      {"vocab_size", "bert.embeddings.word_embeddings.weight"},
      {"max_position_embeddings", "bert.embeddings.position_embeddings.weight"},
      {"type_vocab_size", "bert.embeddings.token_type_embeddings.weight"},
      {"intermediate_size", "bert.encoder.layer.0.intermediate.dense.weight"},
      {"hidden_size", "bert.embeddings.word_embeddings.weight"}};
  for (const auto& [field, tensor] : cases) {
    for (const Index size : {Index{18}, Index{1} << 40}) {  // the second would not fit into memory
      EditedCheckpoint edited("bert_classifier");
      edited.config[field] = size;
      const TemporaryFolder folder;
      edited.save(folder);
      CAPTURE(field, size);
      const Error error = failure_of([&] { static_cast<void>(load_pretrained_encoder<float>(folder.path())); });
      INFO(error.what());
      CHECK((error.code() == ErrorCode::shape_mismatch || error.code() == ErrorCode::size_overflow));
      if (error.code() == ErrorCode::shape_mismatch) {
        CHECK(error.tensor() == folder.file("model.safetensors") + ": " + tensor);
      }
    }
  }
  EditedCheckpoint deep("bert_classifier");
  deep.config["num_hidden_layers"] = Index{1} << 40;
  const TemporaryFolder folder;
  deep.save(folder);
  check_failure(failure_of_encoder(folder), SafetensorsError::missing_tensor,
                folder.file("model.safetensors") + ": bert.encoder.layer.2.attention.self.query.weight");
  deep.config["num_hidden_layers"] = 1;
  deep.save(folder);
  CHECK(failure_of_encoder(folder).rule() == SafetensorsError::unexpected_tensor);

  EditedCheckpoint classes("bert_classifier");  // names of more classes than the head has
  for (int i = 0; i < 50; ++i) classes.config["id2label"][std::to_string(i)] = "class";
  classes.save(folder);
  check_error([&] { static_cast<void>(load_pretrained_classifier<float>(folder.path())); }, ErrorCode::shape_mismatch,
              folder.file("model.safetensors") + ": classifier.weight");

  EditedCheckpoint integers("bert_classifier");
  integers.at("bert.encoder.layer.1.output.LayerNorm.bias").dtype = Dtype::i32;
  integers.save(folder);
  check_failure(failure_of_encoder(folder), SafetensorsError::unreadable_dtype,
                folder.file("model.safetensors") + ": bert.encoder.layer.1.output.LayerNorm.bias");
}

TEST_CASE("files that are missing or cut off are named", "[pretrained]") {
  const TemporaryFolder folder;
  const auto load = [&] { static_cast<void>(load_pretrained_encoder<float>(folder.path())); };
  check_error(load, ErrorCode::file_access, folder.file("config.json"));
  EditedCheckpoint("bert_classifier").save(folder);
  std::filesystem::remove(folder.file("model.safetensors"));
  check_error(load, ErrorCode::file_access, folder.file("model.safetensors"));
  const std::string whole = contents((pretrained_fixture("bert_classifier") / "model.safetensors").string());
  for (const std::size_t length : {std::size_t{0}, std::size_t{7}, std::size_t{100}, whole.size() - 1}) {
    put(folder.file("model.safetensors"), whole.substr(0, length));
    const Error error = failure_of<SafetensorsFailure>(load);
    CHECK(error.code() == ErrorCode::malformed_input);
    CHECK(error.tensor().starts_with(folder.file("model.safetensors")));
  }
}

TEST_CASE("checkpoints of other architectures are refused", "[pretrained]") {
  for (const char* type : {"gpt2", "distilbert", "linformer", "bert "}) {
    EditedCheckpoint edited("bert_classifier");
    edited.config["model_type"] = type;
    const TemporaryFolder folder;
    edited.save(folder);
    check_error([&] { static_cast<void>(load_pretrained_encoder<float>(folder.path())); },
                ErrorCode::invalid_configuration, folder.file("config.json") + ": model_type");
  }
  // RoBERTa's tensors under BERT's name.
  EditedCheckpoint edited("roberta_classifier");
  edited.config["model_type"] = "bert";
  const TemporaryFolder folder;
  edited.save(folder);
  check_failure(failure_of_encoder(folder), SafetensorsError::missing_tensor,
                folder.file("model.safetensors") + ": embeddings.word_embeddings.weight");
}

TEST_CASE("RoBERTa's head has one activation alone", "[pretrained]") {
  EditedCheckpoint edited("roberta_masked_lm");
  edited.config["hidden_act"] = "gelu_new";
  const TemporaryFolder folder;
  edited.save(folder);
  check_error([&] { static_cast<void>(load_pretrained_masked_language_model<float>(folder.path())); },
              ErrorCode::unsupported, folder.file("config.json") + ": hidden_act");
  REQUIRE(load_pretrained_encoder<float>(folder.path()).model.config().activation == Gelu::tanh);
}

TEST_CASE("tokens that a pretrained encoder has not are refused", "[pretrained]") {
  const auto encoder = load_pretrained_encoder<float>(pretrained_fixture("roberta_classifier")).model;
  Resources resources(1);
  const auto call = [&](const TokenBatch& tokens) { static_cast<void>(encoder(tokens, resources.execution)); };
  check_error([&] { call({BatchLayout::single(1), {60}}); }, ErrorCode::out_of_range, "token ids");
  check_error([&] { call({BatchLayout::single(1), {5}, {1}}); }, ErrorCode::out_of_range, "token types");
  check_error(
      [&] {
        call({BatchLayout::single(21), std::vector<std::int32_t>(21, 5)});
      },
      ErrorCode::sequence_too_long, "tokens");
}
