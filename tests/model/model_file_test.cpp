#include <linformer/model/model_file.hpp>

#include "support/attention_support.hpp"
#include "support/resources.hpp"
#include "support/temporary_folder.hpp"

namespace {

EncoderConfig model_file_config() {
  return {.vocabulary_size = 40,
          .sequence_length = 16,
          .layers = 2,
          .model_width = 8,
          .heads = 2,
          .projected_length = 4,
          .sharing = Sharing::headwise};
}

template <Scalar T = float>
MaskedLanguageModel<T> language_model(unsigned seed = 100) {
  MaskedLanguageModel<T> model(model_file_config(), 1);
  randomise(model, seed);
  return model;
}

template <class Module>
std::vector<double> flat(const Module& module) {
  std::vector<double> all;
  module.for_each_parameter([&](const std::string&, Shape, auto values) {
    for (const auto value : values) all.push_back(static_cast<double>(value));
  });
  return all;
}

/// The file of a language model, changed as tensors.
template <class Change>
void write_changed(const std::string& path, const Change& change) {
  Resources resources(1);
  save_model(path + ".saved", language_model(), resources.execution);
  const auto file = SafetensorsFile::open(path + ".saved");
  std::vector<SafetensorsTensor> tensors = file.tensors();
  change(tensors);
  write_safetensors(path, tensors);
}

SafetensorsTensor& named(std::vector<SafetensorsTensor>& tensors, const std::string& name) {
  return *std::find_if(tensors.begin(), tensors.end(), [&](const auto& tensor) { return tensor.name == name; });
}

}  // namespace

TEST_CASE("a configuration that claims more than a file has is told before a model is made", "[model_file]") {
  const TemporaryFolder folder;
  Resources resources(1);
  const SequenceClassifier<float> model(model_file_config(), 3, Pooling::mean, 1);
  save_model(folder.file("m"), model, resources.execution);
  const auto file = SafetensorsFile::open(folder.file("m"));
  REQUIRE_NOTHROW(require_claimed_sizes(file, model.encoder().config(), 3));
  for (const auto& [field, tensor] :
       {std::pair(&EncoderConfig::vocabulary_size, "embeddings.word_embeddings.weight"),
        std::pair(&EncoderConfig::sequence_length, "embeddings.position_embeddings.weight"),
        std::pair(&EncoderConfig::model_width, "embeddings.word_embeddings.weight"),
        std::pair(&EncoderConfig::feed_forward_width, "encoder.layer.0.intermediate.dense.weight")}) {
    EncoderConfig config = model.encoder().config();
    config.*field = 1'000'000'000;
    check_error([&] { require_claimed_sizes(file, config, 3); }, ErrorCode::shape_mismatch,
                folder.file("m") + ": " + tensor);
  }
  EncoderConfig deep = model.encoder().config();
  deep.layers = 1'000'000'000;
  check_error([&] { require_claimed_sizes(file, deep, 3); }, ErrorCode::malformed_input,
              folder.file("m") + ": encoder.layer.2.attention.self.query.weight");
  EncoderConfig wide = model.encoder().config();
  wide.projected_length = 16;
  check_error([&] { require_claimed_sizes(file, wide, 3); }, ErrorCode::shape_mismatch,
              folder.file("m") + ": projections.0.key.weight");
  check_error([&] { require_claimed_sizes(file, model.encoder().config(), 1'000'000'000); }, ErrorCode::shape_mismatch,
              folder.file("m") + ": classifier.out_proj.weight");
}

TEST_CASE("a model that was saved is loaded and says the same, on every instruction set", "[model_file]") {
  const TemporaryFolder folder;
  const auto model = language_model();
  SequenceClassifier<float> classifier(model_file_config(), 3, Pooling::mean, 1);
  randomise(classifier, 100);
  for (const Isa saving : supported_isas()) {
    for (const Isa loading : supported_isas()) {
      CAPTURE(name_of(saving), name_of(loading));
      Resources mine(1, saving), theirs(2, loading);
      save_model(folder.file("model"), model, mine.execution, {{"step", "7"}});
      const auto file = SafetensorsFile::open(folder.file("model"));
      REQUIRE(file.metadata().at("step") == "7");
      auto loaded = language_model(1);
      const auto difference = load_model(file, loaded, theirs.execution);
      REQUIRE(difference);
      REQUIRE(*difference <= self_test_tolerance(resolved(model_file_config())));
      if (saving == loading) REQUIRE(*difference == 0);
      REQUIRE(flat(loaded) == flat(model));

      save_model(folder.file("classifier"), classifier, mine.execution);
      SequenceClassifier<float> other(model_file_config(), 3, Pooling::mean, 2);
      REQUIRE(load_model(SafetensorsFile::open(folder.file("classifier")), other, theirs.execution));
      REQUIRE(flat(other) == flat(classifier));
    }
  }
}

TEST_CASE("a model in one scalar type is loaded in the other", "[model_file]") {
  const TemporaryFolder folder;
  Resources resources(1);
  save_model(folder.file("model"), language_model<float>(), resources.execution);
  auto wide = language_model<double>(1);
  REQUIRE(load_model(SafetensorsFile::open(folder.file("model")), wide, resources.execution).value() > 0);
  save_model(folder.file("model"), wide, resources.execution);
  auto narrow = language_model<float>(1);
  REQUIRE(load_model(SafetensorsFile::open(folder.file("model")), narrow, resources.execution));
}

TEST_CASE("a weight that changed sign is found, whichever parameter it belongs to", "[model_file]") {
  const TemporaryFolder folder;
  const std::string path = folder.file("model");
  Resources resources(1);
  const auto model = language_model();
  save_model(path, model, resources.execution);
  const std::string bytes = contents(path);
  const auto intact = SafetensorsFile::parse(path, bytes_of(bytes));
  model.for_each_parameter([&](const std::string& name, Shape, std::span<const float> values) {
    CAPTURE(name);
    const auto largest =
        std::max_element(values.begin(), values.end(), [](float a, float b) { return std::abs(a) < std::abs(b); });
    const auto offset = static_cast<std::size_t>(intact.find(name)->bytes.data() - bytes_of(bytes).data()) +
                        4 * static_cast<std::size_t>(largest - values.begin());
    std::string changed = bytes;
    changed[offset + 3] = static_cast<char>(changed[offset + 3] ^ 0x80);
    const auto file = SafetensorsFile::parse(path, bytes_of(changed));
    auto loaded = language_model(1);
    const Error failure = failure_of([&] { load_model(file, loaded, resources.execution); });
    REQUIRE(failure.code() == ErrorCode::self_test_failed);
    REQUIRE(failure.tensor() == path + ": self_test.logits");
    REQUIRE(failure.expected() == "the model's logits within 8.53e-06 of the largest");
    REQUIRE(failure.actual().starts_with("a difference of "));
    REQUIRE_FALSE(load_model(file, loaded, resources.execution, {.self_test = false}));
    REQUIRE(load_model(file, loaded, resources.execution, {.tolerance = 1e9}).value() > 8.53e-6);
  });
}

TEST_CASE("a weight that is NaN is found", "[model_file]") {
  const TemporaryFolder folder;
  std::vector<float> values(40, 0.0F);
  values[7] = nan_float;
  write_changed(folder.file("model"),
                [&](auto& tensors) { named(tensors, "lm_head.bias").bytes = std::as_bytes(std::span(values)); });
  Resources resources(1);
  auto loaded = language_model(1);
  REQUIRE(failure_of([&] {
            load_model(SafetensorsFile::open(folder.file("model")), loaded, resources.execution, {.tolerance = 1e9});
          }).code() == ErrorCode::self_test_failed);
}

TEST_CASE("a file without a self-test is loaded, and says so", "[model_file]") {
  const TemporaryFolder folder;
  Resources resources(1);
  save_parameters(folder.file("model"), language_model());
  auto loaded = language_model(1);
  REQUIRE_FALSE(load_model(SafetensorsFile::open(folder.file("model")), loaded, resources.execution));
  REQUIRE(flat(loaded) == flat(language_model()));
}

TEST_CASE("a self-test that is none is refused, and the model stays as it was", "[model_file]") {
  const TemporaryFolder folder;
  const std::string path = folder.file("model");
  Resources resources(1);
  const auto code_of = [&](const auto& change) {
    write_changed(path, change);
    const auto file = SafetensorsFile::open(path);
    auto loaded = language_model(1);
    const std::vector<double> before = flat(loaded);
    const Error failure = failure_of([&] { load_model(file, loaded, resources.execution); });
    REQUIRE(failure.tensor().starts_with(path + ": self_test."));
    REQUIRE(flat(loaded) == before);
    load_model(file, loaded, resources.execution, {.self_test = false});
    return failure.code();
  };
  const auto without = [](const std::string& name) {
    return [name](auto& tensors) { std::erase_if(tensors, [&](const auto& tensor) { return tensor.name == name; }); };
  };
  REQUIRE(code_of(without("self_test.ids")) == ErrorCode::malformed_input);
  REQUIRE(code_of(without("self_test.logits")) == ErrorCode::malformed_input);
  const std::vector<std::int32_t> beyond(16, 40), longer(17, 1);
  REQUIRE(code_of([&](auto& tensors) { named(tensors, "self_test.ids").bytes = std::as_bytes(std::span(beyond)); }) ==
          ErrorCode::out_of_range);
  REQUIRE(code_of([&](auto& tensors) {
            named(tensors, "self_test.ids").bytes = std::as_bytes(std::span(longer));
            named(tensors, "self_test.ids").shape = {17};
          }) == ErrorCode::shape_mismatch);
  REQUIRE(code_of([](auto& tensors) { named(tensors, "self_test.ids").dtype = Dtype::f32; }) == ErrorCode::unsupported);
  REQUIRE(code_of([](auto& tensors) { named(tensors, "self_test.logits").dtype = Dtype::i32; }) ==
          ErrorCode::unsupported);
  REQUIRE(code_of([](auto& tensors) { named(tensors, "self_test.logits").shape = {160}; }) ==
          ErrorCode::shape_mismatch);
}
