#include <linformer/pretrained/hugging_face_config.hpp>

#include "support/attention_support.hpp"
#include "support/temporary_folder.hpp"

namespace {

/// As transformers 4.8 wrote that of roberta-base, whose fields are public.
nlohmann::json roberta_base() {
  return parse_json(R"({"architectures": ["RobertaForMaskedLM"], "attention_probs_dropout_prob": 0.1,
    "bos_token_id": 0, "eos_token_id": 2, "hidden_act": "gelu", "hidden_dropout_prob": 0.2, "hidden_size": 768,
    "initializer_range": 0.02, "intermediate_size": 3072, "layer_norm_eps": 1e-05, "max_position_embeddings": 514,
    "model_type": "roberta", "num_attention_heads": 12, "num_hidden_layers": 12, "pad_token_id": 1,
    "type_vocab_size": 1, "vocab_size": 50265})",
                    "roberta-base");
}

HuggingFaceConfig read(const nlohmann::json& json) {
  const TemporaryFolder folder;
  put(folder.file("config.json"), json.dump());
  return read_hugging_face_config(folder.file("config.json"));
}

/// What reading fails with, its file taken off.
Error failure_of_json(const nlohmann::json& json) {
  const TemporaryFolder folder;
  put(folder.file("config.json"), json.dump());
  const Error error = failure_of([&] { static_cast<void>(read_hugging_face_config(folder.file("config.json"))); });
  const std::string file = folder.file("config.json") + ": ";
  REQUIRE(error.tensor().starts_with(file));
  return {error.code(), error.tensor().substr(file.size()), error.expected(), error.actual()};
}

void check_failure(const char* field, const nlohmann::json& value, ErrorCode code) {
  nlohmann::json json = roberta_base();
  json[field] = value;
  CAPTURE(field, value.dump());
  const Error error = failure_of_json(json);
  CHECK(error.code() == code);
  CHECK(error.tensor() == field);
}

}  // namespace

TEST_CASE("RoBERTa's configuration is read", "[pretrained]") {
  const HuggingFaceConfig config = read(roberta_base());
  REQUIRE(config.architecture == PretrainedArchitecture::roberta);
  REQUIRE(config.position_offset() == 2);
  REQUIRE(config.encoder.vocabulary_size == 50265);
  REQUIRE(config.encoder.sequence_length == 512);
  REQUIRE(config.encoder.layers == 12);
  REQUIRE(config.encoder.model_width == 768);
  REQUIRE(config.encoder.heads == 12);
  REQUIRE(config.encoder.feed_forward_width == 3072);
  REQUIRE(config.encoder.token_types == 1);
  REQUIRE(config.encoder.layer_norm_epsilon == 1e-5);
  REQUIRE(config.encoder.dropout == 0.2);
  REQUIRE(config.encoder.attention_dropout == 0.1);
  REQUIRE(config.encoder.activation == Gelu::exact);
  REQUIRE(config.encoder.mechanism == Mechanism::softmax_tiled);
  REQUIRE_FALSE(config.encoder.pre_norm);
  REQUIRE(config.labels.empty());
}

TEST_CASE("sizes must be there, other fields have their defaults", "[pretrained]") {
  const nlohmann::json whole = roberta_base();
  for (const auto& [name, value] : whole.items()) {
    nlohmann::json without = whole;
    without.erase(name);
    CAPTURE(name);
    const bool size = name.ends_with("_size") && name != "type_vocab_size";
    if (size || name.starts_with("num_") || name == "model_type" || name == "max_position_embeddings") {
      const Error error = failure_of_json(without);
      CHECK(error.code() == ErrorCode::invalid_configuration);
      CHECK(error.tensor() == name);
      continue;
    }
    const HuggingFaceConfig config = read(without);
    CHECK(config.encoder.layer_norm_epsilon == (name == "layer_norm_eps" ? 1e-12 : 1e-5));
    CHECK(config.encoder.token_types == (name == "type_vocab_size" ? 2 : 1));
    CHECK(config.encoder.dropout == (name == "hidden_dropout_prob" ? 0.1 : 0.2));
    CHECK(config.position_offset() == 2);
  }
}

TEST_CASE("BERT has a position for every row, whatever its padding", "[pretrained]") {
  nlohmann::json json = roberta_base();
  json["model_type"] = "bert";
  for (const nlohmann::json& padding : {nlohmann::json(0), nlohmann::json(7), nlohmann::json()}) {
    json["pad_token_id"] = padding;
    REQUIRE(read(json).encoder.sequence_length == 514);
    REQUIRE(read(json).position_offset() == 0);
    REQUIRE(to_json(read(json))["pad_token_id"].get<Index>() == (padding.is_null() ? 0 : padding.get<Index>()));
  }
  for (const nlohmann::json& padding : {nlohmann::json(-1), nlohmann::json(50265), nlohmann::json("[PAD]")}) {
    json["pad_token_id"] = padding;
    CAPTURE(padding.dump());
    CHECK(failure_of_json(json).code() == ErrorCode::invalid_configuration);
    CHECK(failure_of_json(json).tensor() == "pad_token_id");
  }
  check_failure("pad_token_id", nullptr, ErrorCode::invalid_configuration);
  json["model_type"] = "roberta";
  json["pad_token_id"] = 513;
  REQUIRE(failure_of_json(json).tensor() == "max_position_embeddings");
}

TEST_CASE("RoBERTa's positions begin behind its padding, whatever that is, read and written", "[pretrained]") {
  nlohmann::json json = roberta_base();
  for (const int padding : {0, 1, 5}) {
    json["pad_token_id"] = padding;
    const HuggingFaceConfig config = read(json);
    REQUIRE(config.position_offset() == padding + 1);
    REQUIRE(config.encoder.sequence_length == 513 - padding);
    const auto written = to_json(config);
    REQUIRE(written["pad_token_id"] == padding);
    REQUIRE(written["max_position_embeddings"] == 514);
  }
  HuggingFaceConfig beyond = read(json);
  beyond.padding_id = 50265;
  check_error([&] { static_cast<void>(to_json(beyond)); }, ErrorCode::invalid_configuration, "pad_token_id");
}

TEST_CASE("what a classifier's outputs are taken for is read and written", "[pretrained]") {
  nlohmann::json json = roberta_base();
  REQUIRE_FALSE(read(json).problem);
  REQUIRE_FALSE(to_json(read(json)).contains("problem_type"));
  for (const auto& [name, problem] :
       {std::pair("regression", ProblemType::regression),
        std::pair("single_label_classification", ProblemType::single_label_classification),
        std::pair("multi_label_classification", ProblemType::multi_label_classification)}) {
    json["problem_type"] = name;
    REQUIRE(read(json).problem == problem);
    REQUIRE(to_json(read(json))["problem_type"] == name);
  }
  json["problem_type"] = nullptr;
  REQUIRE_FALSE(read(json).problem);
  check_failure("problem_type", "token_classification", ErrorCode::invalid_configuration);
  check_failure("problem_type", 1, ErrorCode::invalid_configuration);
}

TEST_CASE("classes have the names of id2label, as many as num_labels says", "[pretrained]") {
  nlohmann::json json = roberta_base();
  json["num_labels"] = 3;
  REQUIRE(read(json).labels == std::vector<std::string>{"LABEL_0", "LABEL_1", "LABEL_2"});
  json["id2label"] = {{"0", "no"}, {"1", "yes"}};
  REQUIRE(failure_of_json(json).tensor() == "num_labels");
  json["num_labels"] = 2;
  REQUIRE(read(json).labels == std::vector<std::string>{"no", "yes"});
  for (const nlohmann::json& bad :
       {nlohmann::json(0), nlohmann::json(-1), nlohmann::json(1LL << 40), nlohmann::json("2")}) {
    check_failure("num_labels", bad, ErrorCode::invalid_configuration);
  }
}

TEST_CASE("activations", "[pretrained]") {
  for (const auto& [name, gelu] : {std::pair("gelu", Gelu::exact), std::pair("gelu_new", Gelu::tanh),
                                   std::pair("gelu_pytorch_tanh", Gelu::tanh)}) {
    nlohmann::json json = roberta_base();
    json["hidden_act"] = name;
    REQUIRE(read(json).encoder.activation == gelu);
  }
  for (const char* name : {"relu", "gelu_fast", "quick_gelu", ""}) {
    check_failure("hidden_act", name, ErrorCode::invalid_configuration);
  }
}

TEST_CASE("what an encoder cannot do is refused by its field", "[pretrained]") {
  check_failure("position_embedding_type", "relative_key", ErrorCode::unsupported);
  check_failure("is_decoder", true, ErrorCode::unsupported);
  check_failure("add_cross_attention", true, ErrorCode::unsupported);
  check_failure("tie_word_embeddings", false, ErrorCode::unsupported);
  check_failure("classifier_dropout", 0.3, ErrorCode::unsupported);
  check_failure("pruned_heads", {{"0", {1}}}, ErrorCode::unsupported);
  check_failure("quantization_config", {{"bits", 4}}, ErrorCode::unsupported);
  check_failure("embedding_size", 128, ErrorCode::unsupported);  // a field that nobody here knows
  check_failure("hidden_size", -1, ErrorCode::invalid_configuration);
  check_failure("hidden_size", "768", ErrorCode::invalid_configuration);
  check_failure("layer_norm_eps", "small", ErrorCode::invalid_configuration);
  nlohmann::json heads = roberta_base();
  heads["num_attention_heads"] = 7;
  REQUIRE(failure_of_json(heads).tensor() == "num_attention_heads");
  check_failure("num_attention_heads", 0, ErrorCode::invalid_configuration);
  check_failure("intermediate_size", 0, ErrorCode::invalid_configuration);
  nlohmann::json usual = roberta_base();
  usual["position_embedding_type"] = "absolute";
  usual["is_decoder"] = false;
  usual["classifier_dropout"] = 0.2;
  usual["torch_dtype"] = "float32";
  usual["transformers_version"] = "5";
  read(usual);
}

TEST_CASE("labels are read in the order of their numbers", "[pretrained]") {
  nlohmann::json json = roberta_base();
  for (int i = 0; i < 12; ++i) json["id2label"][std::to_string(i)] = "class " + std::to_string(i);
  const std::vector<std::string> labels = read(json).labels;
  REQUIRE(labels.size() == 12);
  REQUIRE(labels[2] == "class 2");
  REQUIRE(labels[11] == "class 11");
  check_failure("id2label", {{"0", "a"}, {"2", "b"}}, ErrorCode::invalid_configuration);
  check_failure("id2label", {{"0", 1}}, ErrorCode::invalid_configuration);
  check_failure("id2label", "a", ErrorCode::invalid_configuration);
}

TEST_CASE("a file that is missing or no JSON is named", "[pretrained]") {
  const TemporaryFolder folder;
  const auto load = [&] { static_cast<void>(read_hugging_face_config(folder.file("config.json"))); };
  check_error(load, ErrorCode::file_access, folder.file("config.json"));
  const std::string deep = R"({"model_type": "bert", "task_specific_params": )" + std::string(100'000, '[');
  for (const std::string text : {"", "{", "{\"model_type\": \"bert\"} x", "{\"a\": 1, \"a\": 1}", deep.c_str()}) {
    put(folder.file("config.json"), text);
    check_error(load, ErrorCode::malformed_input, folder.file("config.json"));
  }
  put(folder.file("config.json"), "[]");
  check_error(load, ErrorCode::invalid_configuration, folder.file("config.json") + ": configuration");
}
