#pragma once

#include <linformer/parallel/part.hpp>

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace linformer::inline LINFORMER_ABI {

/// How an attention layer relates queries to keys.
enum class Mechanism {
  linformer,      ///< Eq. 7: keys and values projected from n to k rows, O(n·k)
  softmax,        ///< Eq. 2: the n × n matrix materialised, one head at a time, O(n²) time and memory
  softmax_tiled,  ///< Eq. 2 with a running softmax over tiles, O(n²) time, O(n) memory
};

/// Which projections are one and the same (Section 4, "Parameter sharing between projections"). For L layers of h
/// heads:
enum class Sharing {
  none,       ///< each layer, each head, E and F apart: 2·L·h projections
  headwise,   ///< all heads of a layer share an E and an F: 2·L
  key_value,  ///< all heads of a layer share E = F: L
  layerwise,  ///< all layers and heads share E = F: 1
};

/// What a projection of the sequence is. All but two are linear over tokens and act on every feature alike, hence
/// (E·X)·W = E·(X·W): they commute with features. Max pooling and depthwise convolution do not.
enum class ProjectionKind {
  learned,                ///< a dense k × n matrix
  gaussian,               ///< fixed, entries N(0, 1/k) (Theorem 2); E and F are one draw
  rademacher,             ///< fixed, entries ±1/√k; E and F are one draw
  mean_pooling,           ///< row i is the mean of the present tokens ⌊i·n/k⌋ … ⌊(i+1)·n/k⌋ − 1
  growing_pooling,        ///< the mean of a window of the text itself, of m tokens in r = min(k, m) rows: row i begins
                          ///< at i + ⌊(m − r)·(i/r)³⌋, single tokens first, then windows that grow; log(tokens in the
                          ///< window) is added to its score. A text of at most k tokens is attended to as by softmax
                          ///< attention. The length must be known: contexts cannot arrive chunk by chunk
  max_pooling,            ///< the maximum of each feature over the same tokens
  convolution,            ///< kernel and stride n/k, one kernel for all features
  depthwise_convolution,  ///< kernel and stride n/k, one kernel for each of the d features of a head
};

/// Variance of the entries of a fixed projection. With the paper's 1/k, entries of K̄ = E·K are √(n/k) times as large as
/// those of K, and so are the scores; 1/n keeps them as large as K's.
enum class FixedScale { paper, preserving };

/// The sequence projections of a model.
struct ProjectionConfig {
  ProjectionKind kind = ProjectionKind::learned;
  FixedScale scale = FixedScale::paper;  ///< of gaussian and rademacher, ignored elsewhere
  bool stored = false;     ///< keep a fixed projection in memory (k × n) instead of generating it at each use
  bool log_count = false;  ///< of mean pooling, ignored elsewhere: add log(tokens in the window) to its score; exact
                           ///< where they are equal
  bool bias = false;       ///< a learned vector r (k), added to every feature of the projected rows: E·K + r·1ᵀ
};

/// Projected lengths k: one number, or a list by layer (not with layerwise sharing), by head, or by layer and head
/// (both only without sharing).
class ProjectedLength {
 public:
  ProjectedLength() = default;
  ProjectedLength(Index uniform) : lengths_{uniform} {}                          // NOLINT(google-explicit-constructor)
  ProjectedLength(std::initializer_list<Index> lengths) : lengths_(lengths) {}   // NOLINT(google-explicit-constructor)
  ProjectedLength(std::vector<Index> lengths) : lengths_(std::move(lengths)) {}  // NOLINT(google-explicit-constructor)

  /// As given: 1, L, h or L·h numbers; where L = h, a list of as many is by layer.
  [[nodiscard]] const std::vector<Index>& list() const noexcept { return lengths_; }

 private:
  std::vector<Index> lengths_;
};

/// What may restrict attention. Token masks are given with each call. The others are listed so that asking for one is
/// answered: a projected row mixes all tokens, so no pair (query, key) can be singled out any more.
enum class Masking { tokens, causal, pairwise, relative };

/// One attention layer.
struct AttentionConfig {
  Index sequence_length = 0;           ///< n: the longest context; queries of cross-attention are not bounded
  Index model_width = 0;               ///< D: width of the input and of the output
  Index heads = 0;                     ///< h
  ProjectedLength projected_length{};  ///< k, of Mechanism::linformer
  Sharing sharing = Sharing::headwise;
  ProjectionConfig projection{};
  Mechanism mechanism = Mechanism::linformer;
  Index head_width = 0;     ///< d; 0 means D/h
  Index context_width = 0;  ///< width of the context; 0 means D
  bool query_key_value_bias = true;
  bool output_bias = true;
  bool projected_bias = false;  ///< a learned vector c (h·d) each for K̄ and V̄: E·K + 1·cᵀ
  double dropout = 0;           ///< probability of dropping an entry of P̄, in training calls
  Masking masking = Masking::tokens;
};

/// The sequence projections of all layers of a model.
struct ProjectionSetConfig {
  Index layers = 1;                    ///< L
  Index heads = 0;                     ///< h
  Index head_width = 0;                ///< d, needed by depthwise convolution
  Index sequence_length = 0;           ///< n
  ProjectedLength projected_length{};  ///< k
  Sharing sharing = Sharing::headwise;
  ProjectionConfig projection{};
  /// Positions whose columns of E and F are held, of a process that works on a part of each sequence; none means all.
  std::optional<Part> held{};
};

namespace detail {

inline void require_config(bool holds, std::string_view field, std::string_view expected, Index actual) {
  require(holds, ErrorCode::invalid_configuration, field, expected, std::to_string(actual));
}

}  // namespace detail

/// Fills in the defaults that depend on other fields, and checks all but the projections.
/// @throws Error invalid_configuration, size_overflow or unsupported
inline AttentionConfig resolved(AttentionConfig config) {
  detail::require_config(config.sequence_length >= 1, "sequence_length", "at least 1", config.sequence_length);
  detail::require_config(config.model_width >= 1, "model_width", "at least 1", config.model_width);
  detail::require_config(config.heads >= 1, "heads", "at least 1", config.heads);
  detail::require_config(config.head_width >= 0, "head_width", "at least 0", config.head_width);
  detail::require_config(config.context_width >= 0, "context_width", "at least 0", config.context_width);
  if (config.head_width == 0) {
    detail::require_config(config.model_width % config.heads == 0, "heads",
                           "a divisor of model_width " + std::to_string(config.model_width) + " (or set head_width)",
                           config.heads);
    config.head_width = config.model_width / config.heads;
  }
  if (config.context_width == 0) config.context_width = config.model_width;
  detail::require(config.dropout >= 0 && config.dropout < 1, ErrorCode::invalid_configuration, "dropout",
                  "a probability in [0, 1)", std::to_string(config.dropout));
  const Index width = detail::checked_size("heads x head_width", {config.heads, config.head_width});
  detail::checked_size("query.weight", {width, config.model_width});
  detail::checked_size("key.weight", {width, config.context_width});
  if (config.masking != Masking::tokens) {
    const char* names[] = {"tokens", "causal", "pairwise (n x n)", "relative"};
    throw Error(ErrorCode::unsupported, "masking",
                "a token mask: Linformer's projected rows mix all tokens of the context, so single pairs of query and "
                "key cannot be masked or biased, nor the future hidden (softmax attention here has the same interface)",
                names[static_cast<int>(config.masking)]);
  }
  return config;
}

}  // namespace linformer::inline LINFORMER_ABI
