#pragma once

#include <linformer/core/file.hpp>
#include <linformer/core/fingerprint.hpp>
#include <linformer/core/version.hpp>
#include <linformer/io.hpp>
#include <linformer/model/config_json.hpp>
#include <linformer/parallel/agreement.hpp>
#include <linformer/train/early_stopping.hpp>
#include <linformer/train/trainer.hpp>
#include <linformer/train/training_file.hpp>

#include "processes.hpp"
#include "progress.hpp"
#include "streams.hpp"

#include <nlohmann/json.hpp>

#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <functional>
#include <optional>
#include <sstream>
#include <string>
#include <vector>

// A training run as all programs have it: steps, a log, evaluations, checkpoints, the best model, and going on.

inline std::atomic<bool> interrupted{false};

/// Ctrl-C and a terminating signal end a run after its step.
inline void stop_on_signals() {
  std::signal(SIGINT, [](int) { interrupted = true; });
  std::signal(SIGTERM, [](int) { interrupted = true; });
}

/// The step that a line of a log tells of; none for one that a killed run has left unfinished.
inline std::optional<std::uint64_t> step_of_line(const std::string& line) {
  try {
    const nlohmann::json entry = linformer::parse_json(line, "log");
    if (entry.is_object() && entry.contains("step") && entry["step"].is_number_unsigned()) {
      return entry["step"].get<std::uint64_t>();
    }
  } catch (const linformer::Error&) {
  }
  return std::nullopt;
}

/// Lines of a JSON-lines log up to a step: what a killed run wrote beyond its checkpoint is written again.
/// @throws linformer::Error file_access; the log then stays as it is
inline void keep_log_until(const std::string& path, std::uint64_t steps) {
  std::istringstream lines(std::filesystem::exists(path) ? linformer::read_file(path) : "");
  std::string kept;
  for (std::string line; std::getline(lines, line);) {
    const auto step = step_of_line(line);
    if (step && *step <= steps) kept += line + "\n";
  }
  linformer::write_file(path, kept);
}

/// Where a run in a folder keeps its state.
inline std::string training_state_path(const std::string& folder) { return folder + "/training.safetensors"; }

/// What an evaluation found.
struct Evaluation {
  double loss = 0;                   ///< must be finite
  double score = 0;                  ///< what the best model is chosen by
  nlohmann::ordered_json entries{};  ///< for the log
  std::string text{};                ///< for a person
};

/// How a run goes, whatever is trained. Steps at which nothing is due by number are those of `every` = 0.
struct TrainingRunConfig {
  std::string name;                 ///< of the program, before the progress bar
  std::string folder;               ///< of the checkpoint and the log
  nlohmann::ordered_json settings;  ///< with which alone a checkpoint goes on
  std::int64_t steps = 0, save_every = 0, evaluate_every = 0;
  linformer::TrainerConfig trainer{};
  bool keep_best = false;                            ///< whether the run ends with the best model or the last
  linformer::EarlyStopping stopping{.patience = 0};  ///< with `keep_best`
};

/// What a trainer hands to backward, see `EncoderOptions::on_layer_done`.
using OnLayerDone = std::function<void(std::size_t layer)>;

/// Trains a model by a task, which has
///     Index prepare(std::uint64_t step)           takes up this process's data of a step; tokens of all processes
///     Index micro_batches()                       of this step and process
///     LossSum accumulate(Index i, Model& gradient, const OnLayerDone& on_layer_done)
///                                                 the gradient of micro-batch i, see `Trainer::step`
///     Evaluation evaluate()                       of the model as it is, the same in every process
/// The folder, which all processes see, holds training.safetensors (the state), best-STEP.safetensors (the best model
/// so far, whose step the state tells) and log.jsonl, all written by the first process. A run that was killed at any
/// moment goes on from its last checkpoint and ends with the same bits, or, in another number of processes, the same
/// but for rounding.
template <class Model>
class TrainingRun {
 public:
  /// Goes on from the folder's checkpoint, if it has one. @throws linformer::Error if that is one of other settings, or
  ///   if processes differ in the library's version, the settings or the weights
  TrainingRun(Model& model, TrainingRunConfig config, ProgramWorld world)
      : config_(std::move(config)),
        settings_(config_.settings.dump()),
        model_(model),
        world_(std::move(world)),
        trainer_(model, config_.trainer, world_),
        stopping_(config_.stopping) {
    require_agreement("version of the library", [](linformer::Fingerprint& version) {
      for (const int number : {linformer::version_major, linformer::version_minor, linformer::version_patch}) {
        version.take(static_cast<std::uint64_t>(number));
      }
    });
    require_agreement("settings and data", [&](linformer::Fingerprint& settings) {
      settings.take(settings_);
      for (const std::int64_t each : {config_.steps, config_.save_every, config_.evaluate_every}) {
        settings.take(static_cast<std::uint64_t>(each));
      }
      settings.take(static_cast<std::uint64_t>(config_.trainer.shard_optimizer));
    });
    std::filesystem::create_directories(config_.folder);
    if (std::filesystem::exists(state())) {
      const auto file = linformer::SafetensorsFile::open(state());
      trainer_.load_optimizer(model_,
                              [&](auto& optimizer) { linformer::load_training(file, model_, optimizer, settings_); });
      if (const auto entry = file.metadata().find("best"); entry != file.metadata().end()) read_best(entry->second);
      saved_ = steps();
      std::printf("Goes on at step %llu.\n", number(steps()));
    }
    require_same_weights();
    if (first_process()) keep_log_until(log(), steps());
  }

  /// Steps taken.
  [[nodiscard]] std::uint64_t steps() const { return trainer_.steps(); }
  /// The step after which the model that the run ends with was.
  [[nodiscard]] std::uint64_t best_step() const { return config_.keep_best ? best_step_ : steps(); }
  /// Tokens that a second of this start's steps took up, in all processes, evaluations aside.
  [[nodiscard]] double tokens_per_second() const { return tokens_ / std::max(seconds_, 1e-9); }

  /// @return false if the run was interrupted, in any process; else the model is the one to keep
  /// @throws linformer::Error not_finite once a loss is; the last checkpoint stays as it is
  template <class Task>
  bool train(Task& task, linformer::ThreadPool& pool) {
    std::ofstream log_file;
    if (first_process()) {
      errno = 0;
      log_file.open(log(), std::ios::app);
      if (!log_file) linformer::detail::throw_file_access(log(), "a file that can be written to");
    }
    Progress progress(config_.name, static_cast<double>(config_.steps), "steps", static_cast<double>(steps()),
                      /*quiet=*/!first_process());
    try {
      while (!finished() && !any_process(world_, interrupted)) step(task, pool, progress, log_file);
    } catch (const linformer::Error& error) {
      if (error.code() != linformer::ErrorCode::not_finite) throw;
      throw linformer::Error(error.code(), error.tensor(), error.expected(), error.actual() + ". " + what_is_kept());
    }
    progress.clear();
    save();
    if (!finished()) {
      std::printf("Saved at step %llu; the same command goes on.\n", number(steps()));
      return false;
    }
    if (stopping_.should_stop()) {
      std::printf("Stopped at step %llu: nothing better in %td evaluations.\n", number(steps()),
                  stopping_.without_improvement);
    }
    if (config_.keep_best) {
      wait_for_all(world_);  // for the first to have written it
      linformer::load_parameters(linformer::SafetensorsFile::open(best()), model_);
      require_same_weights();
    }
    return true;
  }

 private:
  using Clock = std::chrono::steady_clock;

  [[nodiscard]] bool first_process() const { return world_.rank() == 0; }

  /// @param take called as take(fingerprint)
  template <class Take>
  void require_agreement(const char* what, const Take& take) {
    linformer::Fingerprint fingerprint;
    take(fingerprint);
    linformer::require_agreement(world_, what, fingerprint.value());
  }
  void require_same_weights() {
    if (world_.size() == 1) return;
    require_agreement("weights and steps taken", [&](linformer::Fingerprint& state) {
      state.take(steps());
      state.take_parameters(model_);
    });
  }

  static constexpr std::string_view best_prefix = "best-", best_suffix = ".safetensors";

  static unsigned long long number(std::uint64_t steps) { return steps; }
  [[nodiscard]] std::string state() const { return training_state_path(config_.folder); }
  /// The best model so far, by its step: the state names it, and one that is better is another file.
  [[nodiscard]] std::string best() const {
    return config_.folder + "/" + std::string(best_prefix) + std::to_string(best_step_) + std::string(best_suffix);
  }
  [[nodiscard]] std::string log() const { return config_.folder + "/log.jsonl"; }
  [[nodiscard]] bool finished() const {
    return steps() >= static_cast<std::uint64_t>(config_.steps) || stopping_.should_stop();
  }
  [[nodiscard]] bool due(std::int64_t every) const {
    return every > 0 && steps() % static_cast<std::uint64_t>(every) == 0;
  }

  /// One step and what is due after it. The checkpoint comes last: a run that goes on does all of this again, or none.
  template <class Task>
  void step(Task& task, linformer::ThreadPool& pool, Progress& progress, std::ofstream& log_file) {
    const auto start = Clock::now();
    const linformer::Index tokens = task.prepare(steps());
    const linformer::TrainingStep done = trainer_.step(
        model_, task.micro_batches(),
        [&](linformer::Index i, Model& gradient, const OnLayerDone& on_layer_done) {
          return task.accumulate(i, gradient, on_layer_done);
        },
        pool);
    tokens_ += static_cast<double>(tokens);
    seconds_ += std::chrono::duration<double>(Clock::now() - start).count();
    nlohmann::ordered_json line = {{"step", steps()},
                                   {"loss", done.loss.mean()},
                                   {"gradient_norm", done.gradient_norm},
                                   {"learning_rate", done.learning_rate},
                                   {"tokens_per_second", tokens_per_second()}};
    const bool last = steps() >= static_cast<std::uint64_t>(config_.steps);
    if (config_.evaluate_every > 0 && (last || due(config_.evaluate_every))) {
      const Evaluation evaluation = task.evaluate();
      linformer::detail::require(std::isfinite(evaluation.loss) && std::isfinite(evaluation.score),
                                 linformer::ErrorCode::not_finite, "validation loss at step " + std::to_string(steps()),
                                 "a finite loss", std::to_string(evaluation.loss));
      line.update(evaluation.entries);
      progress.clear();
      std::printf("step %llu: training loss %.4f, %s\n", number(steps()), done.loss.mean(), evaluation.text.c_str());
      std::fflush(stdout);
      if (config_.keep_best && stopping_.update(evaluation.score)) {
        best_step_ = steps();
        if (first_process()) linformer::save_parameters(best(), model_);  // the one before stays until `save`
      }
    }
    if (first_process()) {
      log_file << line.dump() << '\n';
      flush(log_file, log());
    }
    if (due(config_.save_every)) save();
    char note[64];
    std::snprintf(note, sizeof note, "loss %.4f  %.0f tokens/s", done.loss.mean(), tokens_per_second());
    progress.update(static_cast<double>(steps()), note);
  }

  void save() {
    if (saved_ != steps()) save_state();
    if (config_.keep_best && first_process()) remove_other_bests();
  }

  void save_state() {
    std::map<std::string, std::string> more;
    if (stopping_.best_evaluation >= 0) {
      more["best"] = nlohmann::ordered_json{{"value", stopping_.best},
                                            {"step", best_step_},
                                            {"evaluation", stopping_.best_evaluation},
                                            {"evaluations", stopping_.evaluations},
                                            {"without_improvement", stopping_.without_improvement}}
                         .dump();
    }
    trainer_.save_optimizer(
        model_, [&](const auto& optimizer) { linformer::save_training(state(), model_, optimizer, settings_, more); });
    saved_ = steps();
  }

  /// Models that were the best before, or in a run that was killed before it had saved its state.
  void remove_other_bests() const {
    std::vector<std::filesystem::path> others;
    for (const auto& entry : std::filesystem::directory_iterator(config_.folder)) {
      const std::string name = entry.path().filename().string();
      const bool best_of_a_step = name.starts_with(best_prefix) && name.ends_with(best_suffix);
      if (best_of_a_step && config_.folder + "/" + name != best()) others.push_back(entry.path());
    }
    for (const auto& other : others) std::filesystem::remove(other);
  }

  void read_best(const std::string& text) {
    linformer::detail::FieldReader reader(linformer::parse_json(text, state()));
    reader.take("value", stopping_.best);
    reader.take("step", best_step_);
    reader.take("evaluation", stopping_.best_evaluation);
    reader.take("evaluations", stopping_.evaluations);
    reader.take("without_improvement", stopping_.without_improvement);
    reader.finish();
  }

  [[nodiscard]] std::string what_is_kept() const {
    if (!saved_) return "No checkpoint had been written";
    return state() + " holds the run after step " + std::to_string(*saved_);
  }

  TrainingRunConfig config_;
  std::string settings_;
  Model& model_;
  ProgramWorld world_;
  linformer::Trainer<float, Model, ProgramWorld> trainer_;
  linformer::EarlyStopping stopping_;
  std::uint64_t best_step_ = 0;
  std::optional<std::uint64_t> saved_;  ///< the step of the checkpoint
  double tokens_ = 0, seconds_ = 0;
};
