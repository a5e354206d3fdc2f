#include <linformer/core/file.hpp>
#include <linformer/pretrained/load_pretrained.hpp>
#include <linformer/pretrained/save_pretrained.hpp>

#include "pretrained/checkpoint_files.hpp"

#include <map>

// What is written is what transformers wrote, name by name and bit by bit, but for what it has no use for.

namespace {

using Parameters = std::map<std::string, std::vector<float>>;

Parameters parameters_of(const auto& model) {
  Parameters parameters;
  model.for_each_parameter([&](const std::string& name, Shape, std::span<const float> values) {
    parameters.emplace(name, std::vector<float>(values.begin(), values.end()));
  });
  return parameters;
}

std::string bytes_in(const SafetensorsTensor& tensor, std::size_t skipped = 0) {
  return std::string(detail::characters(tensor.bytes.subspan(skipped)));
}

/// Compares a folder that was written with the fixture that its model came from.
void check_tensors(const std::filesystem::path& written, const std::string& fixture, Index position_offset,
                   const std::set<std::string>& left_out) {
  const Checkpoint original = Checkpoint::open(pretrained_fixture(fixture)), copy = Checkpoint::open(written);
  for (const auto& [name, file] : copy.places()) {
    CAPTURE(name);
    const SafetensorsTensor &mine = *file->find(name), *theirs = original.find(name);
    REQUIRE(theirs != nullptr);
    CHECK(mine.dtype == theirs->dtype);
    CHECK(mine.shape == theirs->shape);
    const bool positions = name.ends_with("position_embeddings.weight");
    const std::size_t skipped = positions ? static_cast<std::size_t>(position_offset * mine.shape.at(1)) * 4 : 0;
    CHECK(bytes_in(mine, skipped) == bytes_in(*theirs, skipped));
    CHECK(bytes_in(mine).substr(0, skipped) == std::string(skipped, '\0'));
  }
  for (const auto& [name, file] : original.places()) CHECK(copy.places().contains(name) != left_out.contains(name));
  CHECK(copy.file_of(copy.places().begin()->first).metadata().at("format") == "pt");
}

/// Compares the fields that both configurations have.
void check_config(const std::filesystem::path& written, const std::string& fixture) {
  const nlohmann::json mine = read_json(written / "config.json");
  const nlohmann::json theirs = read_json(pretrained_fixture(fixture) / "config.json");
  for (const auto& [name, value] : mine.items()) {
    CAPTURE(name);
    const bool tanh = name == "hidden_act" && value == "gelu_new";  // which has two names
    if (theirs.contains(name) && !theirs[name].is_null() && !tanh) CHECK(value == theirs[name]);
  }
  CHECK(mine.size() >= 14);
}

}  // namespace

TEST_CASE("masked language models are written as they were read", "[save_pretrained]") {
  for (const std::string name : {"bert_masked_lm", "bert_sharded", "roberta_masked_lm", "xlm_roberta_masked_lm"}) {
    CAPTURE(name);
    const TemporaryFolder folder;
    const auto loaded = load_pretrained_masked_language_model<float>(pretrained_fixture(name));
    save_pretrained(folder.path(), loaded.model, loaded.config);
    check_config(folder.path(), name);
    check_tensors(folder.path(), name, loaded.config.position_offset(), {});
    const auto again = load_pretrained_masked_language_model<float>(folder.path());
    REQUIRE(parameters_of(again.model) == parameters_of(loaded.model));
    REQUIRE(again.report.ignored.empty());
  }
}

TEST_CASE("classifiers are written as they were read", "[save_pretrained]") {
  for (const std::string name : {"bert_classifier", "roberta_classifier", "xlm_roberta_classifier"}) {
    CAPTURE(name);
    const TemporaryFolder folder;
    const auto loaded = load_pretrained_classifier<float>(pretrained_fixture(name));
    save_pretrained(folder.path(), loaded.model, loaded.config);
    check_config(folder.path(), name);
    check_tensors(folder.path(), name, loaded.config.position_offset(), {});
    const auto again = load_pretrained_classifier<float>(folder.path());
    REQUIRE(parameters_of(again.model) == parameters_of(loaded.model));
    REQUIRE(again.config.labels.size() == static_cast<std::size_t>(loaded.model.classes()));
    if (!loaded.config.labels.empty()) REQUIRE(again.config.labels == loaded.config.labels);
  }
}

TEST_CASE("a classifier's problem and padding are written, an encoder has no problem", "[save_pretrained]") {
  auto loaded = load_pretrained_classifier<float>(pretrained_fixture("roberta_classifier"));
  loaded.config.problem = ProblemType::multi_label_classification;
  loaded.config.padding_id = 4;
  const TemporaryFolder folder;
  save_pretrained(folder.path(), loaded.model, loaded.config);
  const auto again = load_pretrained_classifier<float>(folder.path());
  REQUIRE(again.config.problem == ProblemType::multi_label_classification);
  REQUIRE(again.config.padding_id == 4);
  REQUIRE(parameters_of(again.model) == parameters_of(loaded.model));
  REQUIRE(Checkpoint::open(folder.path()).find("roberta.embeddings.position_embeddings.weight")->shape[0] ==
          loaded.model.encoder().config().sequence_length + 5);
  save_pretrained(folder.path(), loaded.model.encoder(), loaded.config);
  REQUIRE_FALSE(load_pretrained_encoder<float>(folder.path()).config.problem);
}

TEST_CASE("an encoder is written by itself, of any architecture", "[save_pretrained]") {
  const auto loaded = load_pretrained_encoder<float>(pretrained_fixture("roberta_classifier"));
  for (const auto& like : {loaded.config, HuggingFaceConfig{}}) {
    const TemporaryFolder folder;
    save_pretrained(folder.path(), loaded.model, like);
    const auto again = load_pretrained_encoder<float>(folder.path());
    REQUIRE(again.config.architecture == like.architecture);
    REQUIRE(again.model.config().sequence_length == loaded.model.config().sequence_length);
    REQUIRE(parameters_of(again.model) == parameters_of(loaded.model));
    REQUIRE(again.report.ignored.empty());
    REQUIRE(Checkpoint::open(folder.path()).find("embeddings.word_embeddings.weight") != nullptr);
  }
}

TEST_CASE("a model of this library is written with a type of zeros", "[save_pretrained]") {
  EncoderConfig config{.vocabulary_size = 10, .sequence_length = 6, .layers = 1, .model_width = 4, .heads = 2};
  config.mechanism = Mechanism::softmax_tiled;
  const TemporaryFolder folder;
  const Encoder<double> encoder(config, 1);
  save_pretrained(folder.path(), encoder, HuggingFaceConfig{});
  const auto again = load_pretrained_encoder<double>(folder.path());
  REQUIRE(again.model.config().token_types == 1);
  const Checkpoint written = Checkpoint::open(folder.path());
  REQUIRE(written.find("embeddings.token_type_embeddings.weight")->shape == std::vector<Index>{1, 4});
}

TEST_CASE("what transformers has not is refused by name, and nothing is written", "[save_pretrained]") {
  const TemporaryFolder folder;
  const auto check = [&](const auto& model, const HuggingFaceConfig& like, const char* field,
                         ErrorCode code = ErrorCode::unsupported) {
    check_error([&] { save_pretrained(folder.file("new"), model, like); }, code, field);
    CHECK(folder.names().empty());
  };
  EncoderConfig config{.vocabulary_size = 10, .sequence_length = 6, .layers = 1, .model_width = 4, .heads = 2};
  EncoderConfig softmax = config;
  softmax.mechanism = Mechanism::softmax_tiled;
  const HuggingFaceConfig bert{}, roberta{.architecture = PretrainedArchitecture::roberta};
  config.projected_length = 2;
  check(Encoder<float>(config, 1), bert, "mechanism");
  const auto changed = [&](auto EncoderConfig::*field, auto value) {
    EncoderConfig other = softmax;
    other.*field = value;
    return Encoder<float>(other, 1);
  };
  check(Encoder<float>(softmax, 1, Part{0, 3}), bert, "model");
  check(changed(&EncoderConfig::pre_norm, true), bert, "pre_norm");
  check(changed(&EncoderConfig::positions, PositionKind::sinusoidal), bert, "positions");
  HuggingFaceConfig padding = roberta;
  padding.padding_id = 10;
  check(Encoder<float>(softmax, 1), padding, "pad_token_id", ErrorCode::invalid_configuration);
  EncoderConfig tanh = softmax;
  tanh.activation = Gelu::tanh;
  check(MaskedLanguageModel<float>(tanh, 1), roberta, "activation");
  check(SequenceClassifier<float>(softmax, 2, Pooling::mean, 1), roberta, "pooling");
  HuggingFaceConfig named = roberta;
  named.labels = {"one"};
  check(SequenceClassifier<float>(softmax, 2, Pooling::first_token, 1), named, "labels", ErrorCode::shape_mismatch);
  named.labels = {"one", "\xff"};
  check(SequenceClassifier<float>(softmax, 2, Pooling::first_token, 1), named, "labels", ErrorCode::malformed_input);
}

TEST_CASE("a folder that cannot be made is told", "[save_pretrained]") {
  const TemporaryFolder folder;
  const std::string file = folder.file("file");
  write_file(file, "");
  EncoderConfig config{.vocabulary_size = 10, .sequence_length = 6, .layers = 1, .model_width = 4, .heads = 2};
  config.mechanism = Mechanism::softmax_tiled;
  check_error([&] { save_pretrained(file + "/new", Encoder<float>(config, 1), HuggingFaceConfig{}); },
              ErrorCode::file_access, file + "/new");
}
