#pragma once

#include "training_run.hpp"

#include <CLI/CLI.hpp>

#include <cstdio>
#include <string>

/// What every training program may be told.
struct TrainingOptions {
  linformer::Index batch = 16, micro_batches = 1, threads = 2;
  std::int64_t steps = 0, save_every = 200, evaluate_every = 0;
  double learning_rate = 1e-3;
  std::uint64_t seed = 1;

  void add_to(CLI::App& app) {
    app.add_option("--batch", batch, "sequences a step")->check(CLI::PositiveNumber);
    app.add_option("--micro-batches", micro_batches,
                   "parts of a batch that are computed one after another: less memory, the same but for rounding")
        ->check(CLI::PositiveNumber);
    app.add_option("--learning-rate", learning_rate, "at its peak")->check(CLI::PositiveNumber);
    app.add_option("--seed", seed, "of weights, order, masking and dropout");
    app.add_option("--threads", threads, "threads; any number gives the same bits")->check(CLI::PositiveNumber);
    app.add_option("--save-every", save_every, "steps between checkpoints")->check(CLI::PositiveNumber);
  }

  /// Of a checkpoint: those that change a bit.
  [[nodiscard]] nlohmann::ordered_json settings() const {
    return {{"batch", batch},
            {"micro_batches", micro_batches},
            {"steps", steps},
            {"learning_rate", learning_rate},
            {"seed", seed}};
  }
};

/// A program's main: options, signals, and errors in a line of stderr. @param run the program; its exit status
template <class Run>
int run_program(CLI::App& app, int argc, char** argv, const Run& run) {
  CLI11_PARSE(app, argc, argv);
  stop_on_signals();
  try {
    return run();
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}

/// The part of a batch that is a micro-batch: parts differ by at most one sample, and none is empty.
struct MicroBatches {
  linformer::Index samples = 0, parts = 1;

  MicroBatches() = default;
  MicroBatches(linformer::Index of_samples, linformer::Index most_parts)
      : samples(of_samples), parts(std::min(of_samples, most_parts)) {}

  [[nodiscard]] linformer::Index first(linformer::Index part) const { return part * samples / parts; }
  [[nodiscard]] linformer::Index count(linformer::Index part) const { return first(part + 1) - first(part); }
};
