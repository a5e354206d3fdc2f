#include <linformer/model/config_json.hpp>

#include "support/catch.hpp"
#include "support/temporary_folder.hpp"

using namespace linformer;

namespace {

nlohmann::json example() {
  EncoderConfig config = presets::tiny();
  config.vocabulary_size = 100;
  config.sequence_length = 64;
  config.projected_length = {8, 16};
  config.sharing = Sharing::headwise;
  config.projection = {.kind = ProjectionKind::gaussian, .scale = FixedScale::preserving, .stored = true};
  config.positions = PositionKind::sinusoidal;
  config.activation = Gelu::tanh;
  config.pre_norm = true;
  config.mechanism = Mechanism::softmax_tiled;
  return to_json(resolved(config));
}

}  // namespace

TEST_CASE("a configuration survives JSON", "[config_json]") {
  const nlohmann::json json = example();
  REQUIRE(nlohmann::json(to_json(encoder_config_from_json(json))) == json);
  REQUIRE(json.at("hidden_size") == 64);
  REQUIRE(json.at("intermediate_size") == 256);
  REQUIRE(json.at("projected_length") == std::vector<Index>{8, 16});
}

TEST_CASE("token types are a field where there are any", "[config_json]") {
  EncoderConfig config = encoder_config_from_json(example());
  REQUIRE(config.token_types == 0);
  REQUIRE_FALSE(example().contains("type_vocab_size"));
  config.token_types = 2;
  REQUIRE(to_json(config).at("type_vocab_size") == 2);
  REQUIRE(encoder_config_from_json(to_json(config)).token_types == 2);
  nlohmann::json other = to_json(config);
  other["type_vocab_size"] = -1;
  REQUIRE(failure_of([&] { static_cast<void>(encoder_config_from_json(other)); }).tensor() == "type_vocab_size");
}

TEST_CASE("a configuration's file is named with the field", "[config_json]") {
  const TemporaryFolder folder;
  const std::string file = folder.file("config.json");
  const auto fault = [&](const std::string& text) {
    put(file, text);
    return failure_of([&] { static_cast<void>(read_encoder_config(file)); });
  };
  const std::string whole = example().dump();
  put(file, whole);
  REQUIRE(nlohmann::json(to_json(read_encoder_config(file))) == example());
  for (std::size_t size = 0; size < whole.size(); size += 7) {
    CHECK(fault(whole.substr(0, size)).code() == ErrorCode::malformed_input);
  }
  CHECK(fault(std::string(100'000, '[')).tensor() == file);
  CHECK(fault("{\"vocab_size\": 1," + whole.substr(1)).actual() == "'vocab_size' again");
  CHECK(fault("{}").tensor() == file + ": model_type");
  CHECK(fault("[1]").tensor() == file + ": configuration");
  nlohmann::json nothing = example();
  nothing["hidden_size"] = 0;
  CHECK(fault(nothing.dump()).tensor().starts_with(file + ": "));
}

TEST_CASE("fields that are missing, unknown or of another type are named", "[config_json]") {
  const nlohmann::json whole = example();
  for (const auto& [name, value] : whole.items()) {
    nlohmann::json without = example();
    without.erase(name);
    REQUIRE(failure_of([&] { static_cast<void>(encoder_config_from_json(without)); }).tensor() == name);
    nlohmann::json other = example();
    other[name] = nlohmann::json::object();
    REQUIRE(failure_of([&] { static_cast<void>(encoder_config_from_json(other)); }).tensor() == name);
  }
  for (const nlohmann::json& value : {nlohmann::json(64.9), nlohmann::json(-1), nlohmann::json(1e30)}) {
    nlohmann::json number = example();
    number["hidden_size"] = value;
    REQUIRE(failure_of([&] { static_cast<void>(encoder_config_from_json(number)); }).tensor() == "hidden_size");
    number = example();
    number["projected_length"] = {8, value};
    REQUIRE(failure_of([&] { static_cast<void>(encoder_config_from_json(number)); }).tensor() == "projected_length");
  }
  nlohmann::json more = example();
  more["is_decoder"] = true;
  const Error error = failure_of([&] { static_cast<void>(encoder_config_from_json(more)); });
  REQUIRE(error.code() == ErrorCode::unsupported);
  REQUIRE(error.tensor() == "is_decoder");
  nlohmann::json kind = example();
  kind["sharing"] = "everything";
  REQUIRE(failure_of([&] { static_cast<void>(encoder_config_from_json(kind)); }).tensor() == "sharing");
  REQUIRE_THROWS_AS(encoder_config_from_json(nlohmann::json::array()), Error);
}
