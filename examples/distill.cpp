// Heals a Linformer that convert made: trains it on unlabelled texts until its output matches that of the model it was
// made from, which runs beside it. Ctrl-C saves; the same command goes on where the run was, bit for bit.
#include "support/any_tokenizer.hpp"
#include "support/encoder_calls.hpp"
#include "support/model_folder.hpp"
#include "support/text_lines.hpp"
#include "support/training_options.hpp"

#include <linformer/train/sample_order.hpp>

namespace {

using namespace linformer;
using Sequences = std::vector<std::vector<TokenId>>;

struct Options : TrainingOptions {
  std::string teacher, student, output = "healed", train = "projections";
  std::vector<std::string> files;
  std::int64_t warmup = 20;
  double hidden_states = 1, embeddings = 1, layers = 0;
  Index validation = 64;
  bool recompute = false;

  Options() {
    steps = 300;
    evaluate_every = 100;
  }

  [[nodiscard]] nlohmann::ordered_json all_settings(const Sequences& training, const Encoder<float>& original,
                                                    const Encoder<float>& model) const {
    nlohmann::ordered_json result = settings();
    result.update({{"train", train},
                   {"warmup", warmup},
                   {"hidden_states", hidden_states},
                   {"embeddings", embeddings},
                   {"layers", layers},
                   {"data", fingerprint_of(training, {})},
                   {"teacher", fingerprint_of(original)},
                   {"student", fingerprint_of(model)},
                   {"encoder", to_json(model.config())}});
    return result;
  }
};

/// The task of a `TrainingRun`.
class DistillationTask {
 public:
  using Model = StudentEncoder<float>;

  DistillationTask(const Encoder<float>& teacher, const Model& student, const Options& options,
                   const Sequences& training, const Sequences& validation, const Execution& execution,
                   ProgramWorld world)
      : teacher_(teacher),
        student_(student),
        options_(options),
        training_(training),
        validation_(validation),
        execution_(execution),
        world_(std::move(world)),
        order_(options.seed, lengths_of(training), {.samples = options.batch, .window = 50 * options.batch}),
        batches_an_epoch_(order_.epoch(0).batches()) {}

  Index prepare(std::uint64_t step) {
    const auto batches = static_cast<std::uint64_t>(batches_an_epoch_);
    const auto samples = order_.batch(step / batches, static_cast<Index>(step % batches));
    step_ = step;
    parts_ = MicroBatches(static_cast<Index>(samples.size()), options_.micro_batches, world_);
    batches_.clear();
    for (Index i = 0; i < parts_.parts; ++i) {
      Sequences chosen;
      for (const Index sample : parts_.of(samples, i)) chosen.push_back(training_[static_cast<std::size_t>(sample)]);
      batches_.push_back(TokenBatch::from_sequences(chosen));
    }
    return tokens_of(training_, samples);
  }

  [[nodiscard]] Index micro_batches() const { return parts_.parts; }

  LossSum accumulate(Index i, Model& gradient, const OnLayerDone& on_layer_done) {
    const TokenBatch& tokens = batches_[static_cast<std::size_t>(i)];
    Matrix<float> goal(tokens.layout.rows(), teacher_.config().model_width);
    teacher_.forward(tokens, goal, {.recompute = true}, options_.layers != 0 ? &teacher_cache_ : nullptr, execution_);
    return distillation_gradient<float>(
        student_, {goal, &teacher_cache_}, tokens,
        {.hidden_states = options_.hidden_states, .embeddings = options_.embeddings, .layers = options_.layers},
        {.recompute = options_.recompute, .on_layer_done = on_layer_done}, 1.0, cache_, gradient, execution_);
  }

  /// Cosines of outputs and of embeddings to the teacher's, on texts that are not trained on: in every process of all.
  [[nodiscard]] Evaluation evaluate() {
    double states = 0, embeddings = 0, rows = 0;
    for (const auto& sequence : validation_) {
      const TokenBatch tokens = TokenBatch::from_sequences(std::span(&sequence, 1));
      const auto count = static_cast<double>(tokens.layout.rows());
      const Matrix<float> goal = hidden_states(teacher_, tokens, execution_);
      const Matrix<float> reached = hidden_states(student_, tokens, execution_);
      states += count * detail::layer_difference<float>(goal, reached).cosine;
      embeddings += static_cast<double>(
          sentence_embeddings<float>(goal, tokens.layout, execution_.workspace)
              .row(0)
              .dot(sentence_embeddings<float>(reached, tokens.layout, execution_.workspace).row(0)));
      rows += count;
    }
    states /= rows;
    embeddings /= static_cast<double>(validation_.size());
    char text[96];
    std::snprintf(text, sizeof text, "cosine of outputs %.4f, of embeddings %.4f", states, embeddings);
    return {1 - states, embeddings, {{"state_cosine", states}, {"embedding_cosine", embeddings}}, text};
  }

 private:
  const Encoder<float>& teacher_;
  const Model& student_;
  const Options& options_;
  const Sequences& training_;
  const Sequences& validation_;
  const Execution& execution_;
  ProgramWorld world_;
  SampleOrder order_;
  Index batches_an_epoch_;
  std::uint64_t step_ = 0;
  MicroBatches parts_;
  std::vector<TokenBatch> batches_;
  EncoderCache<float> cache_, teacher_cache_;
};

int heal(const Encoder<float>& teacher, StudentEncoder<float> student, const Options& options,
         const Sequences& training, const Sequences& validation, ProgramWorld world) {
  detail::require(parameter_count(student) > 0, ErrorCode::unsupported, options.student,
                  "a Linformer with learned projections, or --train all", "nothing to train");
  ThreadPool pool(options.threads);
  Workspace workspace;
  const Execution execution{pool, workspace, default_isa()};
  TrainingRun<StudentEncoder<float>> run(student,
                                         {.name = "distill",
                                          .folder = options.output,
                                          .settings = options.all_settings(training, teacher, student),
                                          .steps = options.steps,
                                          .save_every = options.save_every,
                                          .evaluate_every = options.evaluate_every,
                                          .trainer = {.schedule = {.peak = options.learning_rate,
                                                                   .warmup_steps = options.warmup,
                                                                   .total_steps = options.steps},
                                                      .shard_optimizer = options.shard_optimizer}},
                                         world);
  DistillationTask task(teacher, student, options, training, validation, execution, world);
  std::printf("%td parameters to train, %zu texts, %zu to judge by; before: %s.\n", parameter_count(student),
              training.size(), validation.size(), task.evaluate().text.c_str());
  std::fflush(stdout);
  if (!run.train(task, pool)) return 130;
  if (world.rank() > 0) return 0;
  save_parameters(options.output + "/model.safetensors", static_cast<const Encoder<float>&>(student));
  AnyTokenizer::copy_files(options.student, options.output);
  write_file(options.output + "/config.json", to_json(student.config()).dump(2) + "\n");
  std::printf("%s/model.safetensors, config.json and log.jsonl written.\n", options.output.c_str());
  return 0;
}

int run(const Options& options, ProgramWorld world) {
  const Encoder<float> teacher = load_encoder(options.teacher);
  Encoder<float> student = load_encoder(options.student);
  const AnyTokenizer tokenizer = AnyTokenizer::of_folder(options.student);
  const Index length = std::min(teacher.config().sequence_length, student.config().sequence_length);
  Sequences training = read_text_lines(tokenizer, options.files, length);
  detail::require(static_cast<Index>(training.size()) > options.validation, ErrorCode::malformed_input,
                  options.files.front(), "more than " + std::to_string(options.validation) + " texts",
                  std::to_string(training.size()));
  const Sequences validation(training.begin(), training.begin() + options.validation);
  training.erase(training.begin(), training.begin() + options.validation);
  const TrainedPart part = options.train == "all" ? TrainedPart::all : TrainedPart::projections;
  return heal(teacher, StudentEncoder<float>(std::move(student), part), options, training, validation,
              std::move(world));
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  CLI::App app(
      "Trains a Linformer that convert made until its output matches that of the model it was made from, on texts "
      "without labels; the same command resumes it.");
  app.option_defaults()->always_capture_default();
  app.add_option("teacher", options.teacher, "folder of the original")->required()->check(CLI::ExistingDirectory);
  app.add_option("student", options.student, "folder that convert wrote")->required()->check(CLI::ExistingDirectory);
  app.add_option("files", options.files, "texts, a line each")->required()->check(CLI::ExistingFile);
  app.add_option("--output", options.output, "folder for the checkpoint, the model and the log");
  app.add_option("--train", options.train, "what is trained: E and F, or all weights")
      ->check(CLI::IsMember({"projections", "all"}));
  app.add_option("--hidden-states", options.hidden_states, "weight of the tokens' outputs in the loss")
      ->check(CLI::NonNegativeNumber);
  app.add_option("--embeddings", options.embeddings, "weight of the texts' embeddings in the loss")
      ->check(CLI::NonNegativeNumber);
  app.add_option("--layers", options.layers, "weight of the outputs of all layers before the last in the loss")
      ->check(CLI::NonNegativeNumber);
  options.add_to(app);
  app.add_option("--steps", options.steps, "steps in all")->check(CLI::PositiveNumber);
  app.add_option("--warmup", options.warmup, "steps of warm-up")->check(CLI::NonNegativeNumber);
  app.add_option("--evaluate-every", options.evaluate_every, "steps between evaluations")->check(CLI::PositiveNumber);
  app.add_option("--validation", options.validation, "texts at the start that the model is judged by")
      ->check(CLI::PositiveNumber);
  app.add_flag("--recompute", options.recompute, "keep less in memory: activations are computed again in backward");
  return run_program(app, argc, argv, [&](const ProgramWorld& world) { return run(options, world); });
}
