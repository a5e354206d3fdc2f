// Any bytes are either refused by an Error that names them, or are a configuration: of Hugging Face's, whose sizes then
// must be in a file before a model is made of them, or of this library, which is the same once it was written and read.
// What they are as a patch of a configuration that is right (RFC 7386) comes after what they are by themselves.
#include <linformer/model/model_file.hpp>
#include <linformer/pretrained/hugging_face_config.hpp>

#include <cstdint>
#include <cstdlib>
#include <string>

namespace {

using namespace linformer;

void require(bool holds) {
  if (!holds) std::abort();
}

/// f() or an error that names the input; whether there was none.
template <class Function>
bool succeeds(const Function& f) {
  try {
    f();
    return true;
  } catch (const Error& error) {
    require(error.tensor().starts_with("input"));
    return false;
  }
}

const SafetensorsFile& empty_file() {
  static const std::string bytes("\2\0\0\0\0\0\0\0{}", 10);
  static const auto file = SafetensorsFile::parse("input", std::as_bytes(std::span(bytes)));
  return file;
}

void check(const nlohmann::json& json) {
  succeeds([&] {
    const HuggingFaceConfig config =
        detail::within("input", [&] { return detail::hugging_face_config(detail::FieldReader(json)); });
    require(config.encoder.sequence_length > 0 && config.position_offset() >= 0);
    require(!succeeds([&] { require_claimed_sizes(empty_file(), config.encoder); }));
  });
  succeeds([&] {
    const EncoderConfig config = detail::within("input", [&] { return encoder_config_from_json(json); });
    const nlohmann::ordered_json written = to_json(config);
    require(to_json(encoder_config_from_json(written)) == written);
    require(!succeeds([&] {
      detail::within("input", [&] {
        require_claimed_sizes(empty_file(), config);
        return 0;
      });
    }));
  });
}

nlohmann::json hugging_face_base() {
  return {{"model_type", "roberta"}, {"vocab_size", 60},         {"hidden_size", 16},
          {"num_hidden_layers", 2},  {"num_attention_heads", 2}, {"intermediate_size", 32},
          {"type_vocab_size", 1},    {"pad_token_id", 1},        {"max_position_embeddings", 20}};
}

nlohmann::json own_base() {
  return to_json(resolved({.vocabulary_size = 60,
                           .sequence_length = 18,
                           .layers = 2,
                           .model_width = 16,
                           .heads = 2,
                           .projected_length = 4}));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  succeeds([&] {
    const nlohmann::json json = parse_json(text, "input");
    require(parse_json(json.dump(), "input") == json);
    check(json);
    for (nlohmann::json base : {hugging_face_base(), own_base()}) {
      base.merge_patch(json);
      check(base);
    }
  });
  return 0;
}
