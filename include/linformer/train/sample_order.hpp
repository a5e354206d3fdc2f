#pragma once

#include <linformer/core/uniform_below.hpp>

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace linformer::inline LINFORMER_ABI {

/// A uniformly random order of 0 … count − 1, by Durstenfeld's shuffle (1964, CACM Algorithm 235) with draws that are
/// within 2^-64 of uniform: a pure function of the stream and the count, 0 ≤ count ≤ 2^32.
[[nodiscard]] inline std::vector<Index> random_order(const RandomStream& stream, Index count) {
  std::vector<Index> order(static_cast<std::size_t>(count));
  std::iota(order.begin(), order.end(), Index{0});
  for (std::size_t i = order.size(); i > 1; --i) {
    const auto words = stream.words(i);
    std::swap(order[i - 1], order[uniform_below(words[0], words[1], i)]);
  }
  return order;
}

/// How samples are put into batches.
struct BatchingConfig {
  Index samples = 32;   ///< at most in a batch, at least 1
  Index tokens = 0;     ///< at most in a batch, 0 for no limit; a longer sample is a batch of its own
  Index window = 0;     ///< samples that are sorted by length together, so that a batch's are alike; 0 or 1: none are
  bool shuffle = true;  ///< false: samples in their order, for evaluation
};

/// The batches of one epoch.
class EpochBatches {
 public:
  /// Pure function of its arguments: samples in random order are sorted by length within each window of consecutive
  /// ones (equal lengths stay in their random order), cut into batches from the front, each as long as the budgets
  /// allow, and the batches then come in random order. Every sample is in one batch.
  /// @param lengths tokens of each sample
  /// @throws Error invalid_configuration for budgets below their minimum; out_of_range for a negative length
  EpochBatches(std::uint64_t seed, std::uint64_t epoch, std::span<const Index> lengths, const BatchingConfig& config) {
    check(lengths, config);
    const RandomStream stream = RandomStream(seed).derive("sample order").derive(epoch);
    const auto count = static_cast<Index>(lengths.size());
    if (config.shuffle) {
      order_ = random_order(stream.derive("samples"), count);
    } else {
      order_.resize(lengths.size());
      std::iota(order_.begin(), order_.end(), Index{0});
    }
    const auto length = [&](Index sample) { return lengths[static_cast<std::size_t>(sample)]; };
    for (Index begin = 0; config.window > 1 && begin < count; begin += std::min(config.window, count - begin)) {
      std::stable_sort(order_.begin() + begin, order_.begin() + begin + std::min(config.window, count - begin),
                       [&](Index a, Index b) { return length(a) < length(b); });
    }
    Index tokens = 0;
    for (Index i = 0; i < count; ++i) {
      const Index added = length(order_[static_cast<std::size_t>(i)]);
      const bool full = !cuts_.empty() && (i - cuts_.back().begin == config.samples ||
                                           (config.tokens > 0 && tokens > config.tokens - added));
      if (cuts_.empty() || full) {
        cuts_.push_back({i, i});
        tokens = 0;
      }
      cuts_.back().end = i + 1;
      tokens += added;
    }
    if (config.shuffle) {
      std::vector<Cut> shuffled;
      shuffled.reserve(cuts_.size());
      for (const Index i : random_order(stream.derive("batches"), batches())) {
        shuffled.push_back(cuts_[static_cast<std::size_t>(i)]);
      }
      cuts_ = std::move(shuffled);
    }
  }

  [[nodiscard]] Index batches() const noexcept { return static_cast<Index>(cuts_.size()); }

  /// Samples of batch i. @throws Error out_of_range
  [[nodiscard]] std::span<const Index> batch(Index i) const {
    detail::require(
        i >= 0 && i < batches(), ErrorCode::out_of_range, "batch", [&] { return "below " + std::to_string(batches()); },
        [&] { return std::to_string(i); });
    const auto [begin, end] = cuts_[static_cast<std::size_t>(i)];
    return {order_.data() + begin, static_cast<std::size_t>(end - begin)};
  }

 private:
  struct Cut {
    Index begin, end;
  };

  static void check(std::span<const Index> lengths, const BatchingConfig& config) {
    const auto at_least = [](const char* name, Index value, Index least) {
      detail::require(
          value >= least, ErrorCode::invalid_configuration, name, [&] { return "at least " + std::to_string(least); },
          [&] { return std::to_string(value); });
    };
    at_least("samples", config.samples, 1);
    at_least("tokens", config.tokens, 0);
    at_least("window", config.window, 0);
    const auto negative = std::find_if(lengths.begin(), lengths.end(), [](Index length) { return length < 0; });
    if (negative == lengths.end()) return;
    throw Error(ErrorCode::out_of_range, "length of sample " + std::to_string(negative - lengths.begin()), "at least 0",
                std::to_string(*negative));
  }

  std::vector<Index> order_;
  std::vector<Cut> cuts_;
};

/// The batches of all epochs, by index alone: what a run that goes on after a break asks for is what it would have got.
/// Holds the epoch asked for last, 8 bytes a sample and 16 a batch.
class SampleOrder {
 public:
  /// @param lengths tokens of each sample. @throws Error as EpochBatches does
  SampleOrder(std::uint64_t seed, std::vector<Index> lengths, BatchingConfig config)
      : seed_(seed), lengths_(std::move(lengths)), config_(config), batches_(seed, 0, lengths_, config) {}

  /// The epoch's batches, valid until another epoch is asked for.
  [[nodiscard]] const EpochBatches& epoch(std::uint64_t epoch) {
    if (epoch != epoch_) {
      batches_ = EpochBatches(seed_, epoch, lengths_, config_);
      epoch_ = epoch;
    }
    return batches_;
  }
  /// Samples of batch i of an epoch, valid as long. @throws Error out_of_range
  [[nodiscard]] std::span<const Index> batch(std::uint64_t epoch, Index i) { return this->epoch(epoch).batch(i); }

 private:
  std::uint64_t seed_, epoch_ = 0;
  std::vector<Index> lengths_;
  BatchingConfig config_;
  EpochBatches batches_;
};

}  // namespace linformer::inline LINFORMER_ABI
