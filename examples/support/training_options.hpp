#pragma once

#include <linformer/parallel/part.hpp>

#include "program.hpp"
#include "training_run.hpp"

#include <algorithm>
#include <span>
#include <string>

/// What every training program may be told.
struct TrainingOptions {
  linformer::Index batch = 16, micro_batches = 1, threads = 2;
  std::int64_t steps = 0, save_every = 200, evaluate_every = 0;
  double learning_rate = 1e-3;
  std::uint64_t seed = 1;
  bool shard_optimizer = false;

  void add_to(CLI::App& app) {
    app.add_option("--batch", batch, "sequences a step")->check(CLI::PositiveNumber);
    app.add_option("--micro-batches", micro_batches,
                   "parts of a batch that are computed one after another: less memory, the same but for rounding")
        ->check(CLI::PositiveNumber);
    app.add_option("--learning-rate", learning_rate, "at its peak")->check(CLI::PositiveNumber);
    app.add_option("--seed", seed, "of weights, order, masking and dropout");
    app.add_option("--threads", threads, "threads; any number gives the same bits")->check(CLI::PositiveNumber);
    app.add_flag("--shard-optimizer", shard_optimizer,
                 "several processes (mpirun) share out the optimizer's state: less memory, the same but for rounding");
    app.add_option("--save-every", save_every, "steps between checkpoints")->check(CLI::PositiveNumber);
  }

  /// Of a checkpoint: those that change a bit of what one process alone does.
  [[nodiscard]] nlohmann::ordered_json settings() const {
    return {{"batch", batch},
            {"micro_batches", micro_batches},
            {"steps", steps},
            {"learning_rate", learning_rate},
            {"seed", seed}};
  }
};

/// A training program's main: as `run_in_processes`, and signals end a run after its step.
template <class Run>
int run_program(CLI::App& app, int argc, char** argv, const Run& run) {
  return run_in_processes(app, argc, argv, [&](const ProgramWorld& world) {
    stop_on_signals();
    return run(world);
  });
}

/// This process's share of a step's batch, and the part of it that is a micro-batch: parts differ by at most one
/// sample, and none is empty. Samples are numbered as in the batch of all processes, so that draws do not depend on
/// their number.
struct MicroBatches {
  linformer::Part share{};
  linformer::Index parts = 0;

  MicroBatches() = default;
  MicroBatches(linformer::Index samples, linformer::Index most_parts, const ProgramWorld& world)
      : share(linformer::part_of_rank(samples, world.rank(), world.size())),
        parts(std::min(share.size(), most_parts)) {}

  [[nodiscard]] linformer::Index first(linformer::Index part) const {
    return share.begin + part * share.size() / parts;
  }
  [[nodiscard]] linformer::Index count(linformer::Index part) const { return first(part + 1) - first(part); }
  /// The samples of a part, among those of the whole batch.
  [[nodiscard]] std::span<const linformer::Index> of(std::span<const linformer::Index> samples,
                                                     linformer::Index part) const {
    return samples.subspan(static_cast<std::size_t>(first(part)), static_cast<std::size_t>(count(part)));
  }
};
