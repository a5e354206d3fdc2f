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
  double hidden_states = 1, embeddings = 1, layers = 0, logits = 0;
  Index validation = 64;
  bool recompute = false;

  Options() {
    steps = 300;
    evaluate_every = 100;
  }

  /// @param model all of the student, what is not trained too
  template <class Model>
  [[nodiscard]] nlohmann::ordered_json all_settings(const Sequences& training, const Model& original,
                                                    const Model& model, const EncoderConfig& encoder) const {
    nlohmann::ordered_json result = settings();
    result.update({{"train", train},
                   {"warmup", warmup},
                   {"hidden_states", hidden_states},
                   {"embeddings", embeddings},
                   {"layers", layers},
                   {"data", fingerprint_of(training, {})},
                   {"teacher", fingerprint_of(original)},
                   {"student", fingerprint_of(model)},
                   {"encoder", to_json(encoder)}});
    if (logits != 0) result["logits"] = logits;
    return result;
  }
};

/// Hides tokens of texts whose special tokens are a tokenizer's. @param folder of the model, of these sizes
TokenMasking masking_of(const AnyTokenizer& tokenizer, const std::string& folder, const EncoderConfig& model) {
  const SpecialTokens special = tokenizer.special_tokens();
  detail::require(special.mask != no_token && special.mask < model.vocabulary_size, ErrorCode::unsupported, folder,
                  "a tokenizer with a mask token that the model knows, for --logits", "none");
  TokenMaskingConfig config{
      .vocabulary = static_cast<std::int32_t>(std::min<Index>(tokenizer.vocabulary_size(), model.vocabulary_size)),
      .mask_id = special.mask,
      .special_ids = {}};
  for (const TokenId id : {special.bos, special.pad, special.eos, special.unknown}) {
    if (id != no_token) config.special_ids.push_back(id);
  }
  return TokenMasking(std::move(config));
}

/// The task of a `TrainingRun`. Masked language models read texts of which some tokens are hidden, anew in each epoch.
template <class Model>
class DistillationTask {
 public:
  using StudentModel = Student<float, Model>;

  /// @param masking for masked language models
  DistillationTask(const Model& teacher, const StudentModel& student, const Options& options,
                   const std::optional<TokenMasking>& masking, const Sequences& training, const Sequences& validation,
                   const Execution& execution, ProgramWorld world)
      : teacher_(teacher),
        student_(student),
        options_(options),
        masking_(masking),
        training_(training),
        validation_(validation),
        execution_(execution),
        world_(std::move(world)),
        order_(options.seed, lengths_of(training), {.samples = options.batch, .window = 50 * options.batch}),
        batches_an_epoch_(order_.epoch(0).batches()) {}

  Index prepare(std::uint64_t step) {
    const auto batches = static_cast<std::uint64_t>(batches_an_epoch_);
    const std::uint64_t epoch = step / batches;
    const auto samples = order_.batch(epoch, static_cast<Index>(step % batches));
    parts_ = MicroBatches(static_cast<Index>(samples.size()), options_.micro_batches, world_);
    batches_.clear();
    for (Index i = 0; i < parts_.parts; ++i) {
      Sequences chosen;
      for (const Index sample : parts_.of(samples, i)) chosen.push_back(training_[static_cast<std::size_t>(sample)]);
      batches_.push_back(batch(chosen, parts_.of(samples, i), epoch));
    }
    return tokens_of(training_, samples);
  }

  [[nodiscard]] Index micro_batches() const { return parts_.parts; }

  LossSum accumulate(Index i, StudentModel& gradient, const OnLayerDone& on_layer_done) {
    const auto& [layout, masked] = batches_[static_cast<std::size_t>(i)];
    const TokenBatch tokens{layout, masked.ids};
    const Encoder<float>& teacher = detail::encoder_of(teacher_);
    Matrix<float> goal(layout.rows(), teacher.config().model_width);
    teacher.forward(tokens, goal, {.recompute = true}, options_.layers != 0 ? &teacher_cache_ : nullptr, execution_);
    const TeacherOutputs<float> outputs{goal, &teacher_cache_};
    const DistillationConfig config{.hidden_states = options_.hidden_states,
                                    .embeddings = options_.embeddings,
                                    .layers = options_.layers,
                                    .logits = options_.logits};
    const EncoderOptions call{.recompute = options_.recompute, .on_layer_done = on_layer_done};
    if constexpr (of_words) {
      return distillation_gradient<float>(student_, teacher_, outputs, layout, masked, config, call, 1.0, cache_,
                                          gradient, execution_);
    } else {
      return distillation_gradient<float>(student_, outputs, tokens, config, call, 1.0, cache_, gradient, execution_);
    }
  }

  /// Cosines of outputs and of embeddings to the teacher's, on texts that are not trained on, and the divergence of
  /// hidden tokens' logits: in every process of all.
  [[nodiscard]] Evaluation evaluate() {
    double states = 0, embeddings = 0, rows = 0;
    LossSum divergences;
    for (std::size_t i = 0; i < validation_.size(); ++i) {
      const std::span<const std::vector<TokenId>> sequence(&validation_[i], 1);
      const TokenBatch tokens = TokenBatch::from_sequences(sequence);
      const auto count = static_cast<double>(tokens.layout.rows());
      const Matrix<float> goal = hidden_states(detail::encoder_of(teacher_), tokens, execution_);
      const Matrix<float> reached = hidden_states(detail::encoder_of(student_), tokens, execution_);
      states += count * detail::layer_difference<float>(goal, reached).cosine;
      embeddings += static_cast<double>(
          sentence_embeddings<float>(goal, tokens.layout, execution_.workspace)
              .row(0)
              .dot(sentence_embeddings<float>(reached, tokens.layout, execution_.workspace).row(0)));
      rows += count;
      if constexpr (of_words) {
        const auto sample = static_cast<Index>(i);
        const auto [layout, masked] = batch(sequence, {&sample, 1}, 0);
        const TokenBatch hidden{layout, masked.ids};
        const RowSelection read(layout, masked.rows);
        divergences += divergence<float>(student_(hidden, read, execution_), teacher_(hidden, read, execution_));
      }
    }
    states /= rows;
    embeddings /= static_cast<double>(validation_.size());
    char text[128];
    std::snprintf(text, sizeof text, "cosine of outputs %.4f, of embeddings %.4f", states, embeddings);
    Evaluation found{1 - states, embeddings, {{"state_cosine", states}, {"embedding_cosine", embeddings}}, text};
    if constexpr (of_words) {
      const double mean = divergences.weight > 0 ? divergences.mean() : 0;
      std::snprintf(text, sizeof text, ", divergence of logits %.3g", mean);
      found.entries["logits_divergence"] = mean;
      found.text += text;
    }
    return found;
  }

 private:
  static constexpr bool of_words = std::is_same_v<Model, MaskedLanguageModel<float>>;

  struct Batch {
    BatchLayout layout;
    MaskedTokens masked;
  };

  [[nodiscard]] Batch batch(std::span<const std::vector<TokenId>> sequences, std::span<const Index> samples,
                            std::uint64_t epoch) const {
    TokenBatch tokens = TokenBatch::from_sequences(sequences);
    if constexpr (of_words) {
      MaskedTokens masked = masking_->apply(tokens.ids, tokens.layout, samples, options_.seed, epoch);
      return {std::move(tokens.layout), std::move(masked)};
    } else {
      return {std::move(tokens.layout), {std::move(tokens.ids), {}, {}}};
    }
  }

  const Model& teacher_;
  const StudentModel& student_;
  const Options& options_;
  const std::optional<TokenMasking>& masking_;
  const Sequences& training_;
  const Sequences& validation_;
  const Execution& execution_;
  ProgramWorld world_;
  SampleOrder order_;
  Index batches_an_epoch_;
  MicroBatches parts_;
  std::vector<Batch> batches_;
  EncoderCache<float> cache_, teacher_cache_;
};

/// @return the student, or nothing if the run was interrupted
template <class Model>
std::optional<Model> heal(const Model& teacher, Model model, const Options& options,
                          const std::optional<TokenMasking>& masking, const Sequences& training,
                          const Sequences& validation, ProgramWorld world) {
  Student<float, Model> student(std::move(model), options.train == "all" ? TrainedPart::all : TrainedPart::projections);
  detail::require(parameter_count(student) > 0, ErrorCode::unsupported, options.student,
                  "a Linformer with learned projections, or --train all", "nothing to train");
  ThreadPool pool(options.threads);
  Workspace workspace;
  const Execution execution{pool, workspace, default_isa()};
  TrainingRun<Student<float, Model>> run(
      student,
      {.name = "distill",
       .folder = options.output,
       .settings = options.all_settings<Model>(training, teacher, student, detail::encoder_of(student).config()),
       .steps = options.steps,
       .save_every = options.save_every,
       .evaluate_every = options.evaluate_every,
       .trainer = {.schedule = {.peak = options.learning_rate,
                                .warmup_steps = options.warmup,
                                .total_steps = options.steps},
                   .shard_optimizer = options.shard_optimizer}},
      world);
  DistillationTask<Model> task(teacher, student, options, masking, training, validation, execution, world);
  std::printf("%td parameters to train, %zu texts, %zu to judge by; before: %s.\n", parameter_count(student),
              training.size(), validation.size(), task.evaluate().text.c_str());
  std::fflush(stdout);
  if (!run.train(task, pool)) return std::nullopt;
  return student;
}

int run(const Options& options, ProgramWorld world) {
  auto student = options.logits != 0 ? load_masked_language_model(options.student)
                                     : load_masked_language_model_if_read(options.student);
  Encoder<float> encoder = student ? student->encoder() : load_encoder(options.student);
  const EncoderConfig config = encoder.config();
  const AnyTokenizer tokenizer = AnyTokenizer::of_model(options.student, config.vocabulary_size);
  const auto read = [&](const EncoderConfig& teacher) {
    Sequences texts =
        read_text_lines(tokenizer, options.files, std::min(teacher.sequence_length, config.sequence_length));
    detail::require(static_cast<Index>(texts.size()) > options.validation, ErrorCode::malformed_input,
                    options.files.front(), "more than " + std::to_string(options.validation) + " texts",
                    std::to_string(texts.size()));
    return texts;
  };
  const auto healed = [&](const auto& teacher, auto model, const std::optional<TokenMasking>& masking) {
    Sequences training = read(detail::encoder_of(teacher).config());
    const Sequences validation(training.begin(), training.begin() + options.validation);
    training.erase(training.begin(), training.begin() + options.validation);
    return heal(teacher, std::move(model), options, masking, training, validation, world);
  };
  if (options.logits != 0) {
    const auto teacher = load_masked_language_model(options.teacher);
    const auto require_head = [](bool there, const std::string& folder) {
      detail::require(there, ErrorCode::unsupported, folder, "a masked language model, for --logits",
                      "one without a head that is read");
    };
    require_head(teacher.has_value(), options.teacher);
    require_head(student.has_value(), options.student);
    const EncoderConfig& original = teacher->encoder().config();
    detail::require_shape(options.teacher + ": words", original.vocabulary_size, original.model_width,
                          config.vocabulary_size, config.model_width);
    student = healed(*teacher, std::move(*student), masking_of(tokenizer, options.student, config));
    if (!student) return 130;
    encoder = student->encoder();
  } else {
    auto result = healed(load_encoder(options.teacher), std::move(encoder), std::nullopt);
    if (!result) return 130;
    encoder = std::move(*result);
    if (student && options.train == "all") {
      student.reset();
      std::fprintf(stderr, "The masked-language-model head is left out: the encoder that it read is another now.\n");
    }
  }
  if (world.rank() > 0) return 0;
  save_encoder(options.output + "/model.safetensors", encoder, std::move(student));
  AnyTokenizer::copy_files(options.student, options.output);
  write_file(options.output + "/config.json", to_json(config).dump(2) + "\n");
  std::printf("%s/model.safetensors, config.json and log.jsonl written.\n", options.output.c_str());
  return 0;
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
  app.add_option(
         "--logits", options.logits,
         "weight of the logits of hidden tokens in the loss: both models, which must be masked language models, "
         "then read texts of which 15 % are hidden")
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
