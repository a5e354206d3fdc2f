#pragma once

#include <linformer/text.hpp>

#include "any_tokenizer.hpp"
#include "encoder_choice.hpp"
#include "training_options.hpp"

#include <optional>
#include <string>
#include <vector>

// Pretraining of a masked language model: what one run is, and the run.

/// A run but for its data and folder.
struct PretrainingOptions : TrainingOptions {
  EncoderChoice encoder;
  linformer::Index vocabulary = 0;
  std::int64_t warmup = 100;
  bool recompute = false;

  PretrainingOptions() {
    steps = 1000;
    evaluate_every = 200;
  }

  /// f(name, value) of each but the seed, the vocabulary and the threads, as a table of configurations names them.
  template <class Visitor>
  void for_each_field(const Visitor& f) {
    encoder.for_each_field(f);
    f("batch", batch);
    f("micro_batches", micro_batches);
    f("steps", steps);
    f("warmup", warmup);
    f("learning_rate", learning_rate);
    f("evaluate_every", evaluate_every);
    f("save_every", save_every);
    f("recompute", recompute);
  }
};

using Sequences = std::vector<std::vector<linformer::TokenId>>;

/// Sequences of at most `length` tokens of all files together, each framed by <s> and </s>.
/// @throws linformer::Error malformed_input where there is none
Sequences read_sequences(const AnyTokenizer& tokenizer, const std::vector<std::string>& files, linformer::Index length);

/// What a run ended with.
struct PretrainingResult {
  linformer::EncoderConfig encoder;
  linformer::Index parameters = 0;
};

/// A whole run in a folder, which the first process writes. @param validation empty for none
/// @return nothing if it was interrupted
std::optional<PretrainingResult> pretrain(const std::string& name, const PretrainingOptions& options,
                                          const AnyTokenizer& tokenizer, Sequences training_sequences,
                                          Sequences validation_sequences, const std::string& folder,
                                          ProgramWorld world);
