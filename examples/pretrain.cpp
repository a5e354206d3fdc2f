// Trains a masked language model on text files: tokens are bytes, a sequence is n of them. Ctrl-C saves; the same
// command goes on where the run was, bit for bit.
#include "support/pretraining.hpp"

namespace {

struct Options : PretrainingOptions {
  std::vector<std::string> files;
  std::string validation, output = "pretrained";
};

int run(const Options& options, ProgramWorld world) {
  const AnyTokenizer tokenizer = first_process_first(world, [&] {
    std::filesystem::create_directories(options.output);
    const bool new_run = !std::filesystem::exists(training_state_path(options.output));
    return AnyTokenizer::of_run(options.output, options.files, options.vocabulary, new_run);
  });
  Sequences validation;
  if (!options.validation.empty()) validation = read_sequences(tokenizer, {options.validation}, options.encoder.length);
  const auto result =
      pretrain("pretrain", options, tokenizer, read_sequences(tokenizer, options.files, options.encoder.length),
               std::move(validation), options.output, world);
  if (!result) return 130;
  std::printf("%s/model.safetensors, config.json and log.jsonl written.\n", options.output.c_str());
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  CLI::App app("Trains a masked language model on text files; the same command resumes it.");
  app.option_defaults()->always_capture_default();
  app.add_option("files", options.files, "text of any kind")->required()->check(CLI::ExistingFile);
  app.add_option("--validation", options.validation, "text that is not trained on")->check(CLI::ExistingFile);
  app.add_option("--output", options.output, "folder for the checkpoint, the model and the log");
  app.add_option("--vocabulary", options.vocabulary, "pieces of a SentencePiece model to train first; 0: bytes")
      ->check(CLI::NonNegativeNumber);
  app.add_option("--length", options.encoder.length, "sequence length n")->check(CLI::Range(3, 1 << 24));
  options.encoder.add_to(app);
  options.add_to(app);
  app.add_option("--steps", options.steps, "steps in all")->check(CLI::PositiveNumber);
  app.add_option("--warmup", options.warmup, "steps of warm-up")->check(CLI::NonNegativeNumber);
  app.add_option("--evaluate-every", options.evaluate_every, "steps between evaluations")->check(CLI::PositiveNumber);
  app.add_flag("--recompute", options.recompute, "keep less in memory: activations are computed again in backward");
  return run_program(app, argc, argv, [&](const ProgramWorld& world) { return run(options, world); });
}
