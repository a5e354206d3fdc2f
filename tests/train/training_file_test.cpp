#include <linformer/model/masked_language_model.hpp>
#include <linformer/train/trainer.hpp>
#include <linformer/train/training_file.hpp>

#include "support/attention_support.hpp"
#include "support/temporary_folder.hpp"

namespace {

using Model = MaskedLanguageModel<float>;

EncoderConfig small() {
  return {
      .vocabulary_size = 12, .sequence_length = 8, .layers = 2, .model_width = 6, .heads = 2, .projected_length = 3};
}

/// Steps whose gradients are drawn by number: what a real run does, without its cost.
void take_steps(Model& model, Trainer<float, Model>& trainer, std::uint64_t until) {
  ThreadPool pool(1);
  while (trainer.steps() < until) {
    trainer.step(
        model, 1,
        [&](Index, Model& gradient) {
          randomise(gradient, static_cast<unsigned>(trainer.steps()));
          return LossSum{1, 1};
        },
        pool);
  }
}

/// The state of a run, written and read as a program does.
void save_run(const std::string& path, const Model& model, Trainer<float, Model>& trainer,
              const std::map<std::string, std::string>& more = {}) {
  trainer.save_optimizer(model, [&](const auto& optimizer) { save_training(path, model, optimizer, "these", more); });
}
void load_run(const SafetensorsFile& file, Model& model, Trainer<float, Model>& trainer,
              const std::string& settings = "these") {
  trainer.load_optimizer(model, [&](auto& optimizer) { load_training(file, model, optimizer, settings); });
}

std::vector<float> values_of_model(const Model& model) {
  std::vector<float> weights;
  model.for_each_parameter([&](const std::string&, Shape, std::span<const float> values) {
    weights.insert(weights.end(), values.begin(), values.end());
  });
  return weights;
}

}  // namespace

TEST_CASE("a run that was saved goes on bit for bit", "[training_file]") {
  const TemporaryFolder folder;
  const TrainerConfig config{.schedule = {.peak = 1e-2, .warmup_steps = 3, .total_steps = 20}};
  Model whole(small(), 1);
  Trainer<float, Model> its_trainer(whole, config);
  take_steps(whole, its_trainer, 12);

  Model first(small(), 1);
  Trainer<float, Model> first_trainer(first, config);
  take_steps(first, first_trainer, 5);
  save_run(folder.file("state"), first, first_trainer);

  Model second(small(), 2);  // other weights, all replaced
  Trainer<float, Model> second_trainer(second, config);
  load_run(SafetensorsFile::open(folder.file("state")), second, second_trainer);
  REQUIRE(second_trainer.steps() == 5);
  take_steps(second, second_trainer, 12);
  REQUIRE(values_of_model(second) == values_of_model(whole));
}

TEST_CASE("further entries stand beside the settings and the steps", "[training_file]") {
  const TemporaryFolder folder;
  Model model(small(), 1);
  Trainer<float, Model> trainer(model, {});
  take_steps(model, trainer, 2);
  save_run(folder.file("state"), model, trainer, {{"best", "0.5"}, {"steps", "7"}});
  const SafetensorsFile file = SafetensorsFile::open(folder.file("state"));
  using Entries = std::map<std::string, std::string>;
  REQUIRE(file.metadata() == Entries{{"best", "0.5"}, {"settings", "these"}, {"steps", "2"}});
  load_run(file, model, trainer);
  REQUIRE(trainer.steps() == 2);
}

TEST_CASE("a training file of other settings or another model is refused, and nothing changes", "[training_file]") {
  const TemporaryFolder folder;
  Model model(small(), 1);
  Trainer<float, Model> trainer(model, {});
  save_run(folder.file("state"), model, trainer);
  const SafetensorsFile file = SafetensorsFile::open(folder.file("state"));
  EncoderConfig wide = small();
  wide.model_width = 8;
  Model other(wide, 1);
  Trainer<float, Model> other_trainer(other, {});
  const std::vector<float> before = values_of_model(other);
  REQUIRE(failure_of([&] { load_run(file, model, trainer, "those"); }).code() == ErrorCode::invalid_configuration);
  REQUIRE_THROWS_AS(load_run(file, other, other_trainer), Error);
  REQUIRE(values_of_model(other) == before);
}
