#include <linformer/model/load_part.hpp>
#include <linformer/model/masked_language_model.hpp>
#include <linformer/model/sequence_classifier.hpp>

#include "support/attention_support.hpp"
#include "support/temporary_folder.hpp"

#include <map>

namespace {

EncoderConfig part_config() {
  return {.vocabulary_size = 20,
          .sequence_length = 12,
          .layers = 2,
          .model_width = 8,
          .heads = 2,
          .projected_length = 4,
          .sharing = Sharing::headwise};
}

using NamedValues = std::map<std::string, std::pair<std::vector<Index>, std::vector<float>>>;

NamedValues values_by_name(const auto& model) {
  NamedValues result;
  model.for_each_parameter([&](const std::string& name, Shape shape, std::span<const float> values) {
    result[name] = {{shape.begin(), shape.end()}, {values.begin(), values.end()}};
  });
  return result;
}

}  // namespace

TEST_CASE("an encoder is read from a model with any head, which is left aside by name", "[load_part]") {
  const TemporaryFolder folder;
  MaskedLanguageModel<float> language(part_config(), 1);
  SequenceClassifier<float> classifier(part_config(), 3, Pooling::mean, 1);
  randomise(language, 100);
  randomise(classifier, 101);
  save_parameters(folder.file("language"), language);
  save_parameters(folder.file("classifier"), classifier);

  Encoder<float> encoder(part_config(), 7);
  std::vector<std::string> aside = load_part(SafetensorsFile::open(folder.file("language")), encoder);
  CHECK(values_by_name(encoder) == values_by_name(language.encoder()));
  std::sort(aside.begin(), aside.end());
  CHECK(aside == std::vector<std::string>{"lm_head.bias", "lm_head.dense.bias", "lm_head.dense.weight",
                                          "lm_head.layer_norm.bias", "lm_head.layer_norm.weight"});
  CHECK(load_part(SafetensorsFile::open(folder.file("classifier")), encoder).size() == 4);
  CHECK(values_by_name(encoder) == values_by_name(classifier.encoder()));

  // A head that the file has not is told with what it has, and nothing is read.
  const auto language_file = SafetensorsFile::open(folder.file("language"));
  SequenceClassifier<float> other(part_config(), 3, Pooling::mean, 8);
  const NamedValues before = values_by_name(other);
  const auto failure = failure_of<SafetensorsFailure>([&] { static_cast<void>(load_part(language_file, other)); });
  CHECK(failure.tensor() == folder.file("language") + ": classifier.dense.weight");
  CHECK(failure.actual() == "none: the file holds a masked language model");
  CHECK(values_by_name(other) == before);
  MaskedLanguageModel<float> reverse(part_config(), 8);
  CHECK(failure_of([&] {
          static_cast<void>(load_part(SafetensorsFile::open(folder.file("classifier")), reverse));
        }).actual() == "none: the file holds a classifier");
}

TEST_CASE("of a whole file a process reads its columns and rows alone", "[load_part]") {
  const TemporaryFolder folder;
  for (const Sharing sharing : {Sharing::none, Sharing::headwise, Sharing::key_value, Sharing::layerwise}) {
    EncoderConfig config = part_config();
    config.sharing = sharing;
    SequenceClassifier<float> whole(config, 3, Pooling::mean, 1);
    randomise(whole, 100);
    const NamedValues expected = values_by_name(whole);
    std::vector<SafetensorsTensor> tensors = parameter_tensors(whole);
    write_safetensors(folder.file("whole"), tensors);
    const auto file = SafetensorsFile::open(folder.file("whole"));
    for (const Part held : {Part{0, 5}, Part{5, 12}, Part{3, 4}, Part{4, 4}, Part{0, 12}}) {
      CAPTURE(static_cast<int>(sharing), held.begin, held.end);
      SequenceClassifier<float> part(config, 3, Pooling::mean, 9, held);
      CHECK(load_part(file, part).empty());
      for (const auto& [name, its] : values_by_name(part)) {
        const auto& [shape, values] = its;
        const auto& [all_shape, all] = expected.at(name);
        if (shape == all_shape) {
          CHECK(values == all);
          continue;
        }
        const bool rows = name == "embeddings.position_embeddings.weight";
        CHECK((rows || name.starts_with("projections")));
        const Index columns = shape[1];
        for (Index i = 0; i < shape[0]; ++i) {
          for (Index j = 0; j < columns; ++j) {
            const Index place = rows ? (i + held.begin) * all_shape[1] + j : i * all_shape[1] + j + held.begin;
            CHECK(values[static_cast<std::size_t>(i * columns + j)] == all[static_cast<std::size_t>(place)]);
          }
        }
      }
    }
  }
}

TEST_CASE("a whole file that does not fit is told by its tensor, and nothing is read", "[load_part]") {
  const TemporaryFolder folder;
  Encoder<float> whole(part_config(), 1);
  randomise(whole, 100);
  const auto check = [&](const char* tensor, SafetensorsError rule, const EncoderConfig& config,
                         std::optional<Part> held) {
    const auto file = SafetensorsFile::open(folder.file("changed"));
    Encoder<float> model(config, 9, held);
    const NamedValues before = values_by_name(model);
    const auto failure = failure_of<SafetensorsFailure>([&] { static_cast<void>(load_part(file, model)); });
    INFO(failure.what());
    CHECK(failure.rule() == rule);
    CHECK(failure.tensor() == folder.file("changed") + ": " + tensor);
    CHECK(values_by_name(model) == before);
  };
  save_parameters(folder.file("changed"), whole);
  EncoderConfig shallow = part_config();
  shallow.layers = 1;
  check("encoder.layer.1.attention.output.LayerNorm.bias", SafetensorsError::unexpected_tensor, shallow, {});
  EncoderConfig longer = part_config();
  longer.sequence_length = 13;
  check("embeddings.position_embeddings.weight", SafetensorsError::shape_mismatch, longer, {});
  check("embeddings.position_embeddings.weight", SafetensorsError::shape_mismatch, longer, Part{0, 12});
  // A file that holds one process's part is no whole one.
  save_parameters(folder.file("changed"), Encoder<float>(part_config(), 1, Part{0, 6}));
  check("embeddings.position_embeddings.weight", SafetensorsError::shape_mismatch, part_config(), Part{0, 6});
  std::vector<SafetensorsTensor> tensors = parameter_tensors(whole);
  tensors.back().name = "projections.9.key.weight";
  write_safetensors(folder.file("changed"), tensors);
  check("projections.1.value.weight", SafetensorsError::missing_tensor, part_config(), Part{0, 6});
}
