#pragma once

#include <linformer/core/batch.hpp>
#include <linformer/core/uniform_below.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>

namespace linformer::inline LINFORMER_ABI {

/// What is hidden from a masked language model; the shares of Devlin et al. 2019 (arXiv 1810.04805).
struct TokenMaskingConfig {
  std::int32_t vocabulary = 0;            ///< token ids are 0 … vocabulary − 1
  std::int32_t mask_id = 0;               ///< of the mask token, which is special as well
  std::vector<std::int32_t> special_ids;  ///< never selected and never drawn, in any order
  double rate = 0.15;                     ///< probability that a token is selected
  double mask_share = 0.8;                ///< of those selected: replaced by the mask token
  double random_share = 0.1;              ///< of those selected: replaced by a random token; the rest stay
};

/// A batch as the model sees it and what it has to tell.
struct MaskedTokens {
  std::vector<std::int32_t> ids;     ///< of every row of the batch, some replaced
  std::vector<Index> rows;           ///< those selected, rising
  std::vector<std::int32_t> labels;  ///< what the selected rows were
};

/// Dynamic masking (Liu et al. 2019, arXiv 1907.11692): another draw in every epoch. A token's draws have the address
/// (seed, epoch, sample, position), so that batching, ranks and resuming change nothing. Tokens are selected
/// independently of each other: a short sequence may end up with none, and the caller must bear a batch of no labels.
/// A random token is uniform over the vocabulary without special ids, each within 2^-64 of its probability, and may be
/// the token that it replaces. Rates and shares are rounded down to a multiple of 2^-32.
class TokenMasking {
 public:
  /// @throws Error invalid_configuration for a share outside [0, 1], or no token but special ones; out_of_range for an
  /// id outside the vocabulary
  explicit TokenMasking(TokenMaskingConfig config) : config_(std::move(config)) {
    const auto share = [](const char* name, double value) {
      detail::require(value >= 0 && value <= 1, ErrorCode::invalid_configuration, name, "0 to 1",
                      std::to_string(value));
    };
    share("rate", config_.rate);
    share("mask_share", config_.mask_share);
    share("random_share", config_.random_share);
    share("mask_share + random_share", config_.mask_share + config_.random_share);
    auto& special = config_.special_ids;
    special.push_back(config_.mask_id);
    std::sort(special.begin(), special.end());
    special.erase(std::unique(special.begin(), special.end()), special.end());
    for (const std::int32_t id : special) require_id("special token", id);
    detail::require(special.size() < static_cast<std::size_t>(config_.vocabulary), ErrorCode::invalid_configuration,
                    "special_ids", "fewer than the vocabulary has", std::to_string(special.size()));
  }

  /// Special ids with the mask's, rising.
  [[nodiscard]] const TokenMaskingConfig& config() const noexcept { return config_; }

  /// @param ids one a row of the batch
  /// @param layout of the batch; a token's position is the one it has there
  /// @param samples global index of each sequence
  /// @throws Error shape_mismatch; out_of_range for an id outside the vocabulary, naming the row
  [[nodiscard]] MaskedTokens apply(std::span<const std::int32_t> ids, const BatchLayout& layout,
                                   std::span<const Index> samples, std::uint64_t seed, std::uint64_t epoch) const {
    detail::require_shape("token ids", static_cast<Index>(ids.size()), 1, layout.rows(), 1);
    detail::require_shape("samples", static_cast<Index>(samples.size()), 1, layout.sequences(), 1);
    const std::uint64_t selected = threshold(config_.rate), masked = threshold(config_.mask_share);
    const std::uint64_t replaced = threshold(config_.mask_share + config_.random_share);
    const RandomStream draws = RandomStream(seed).derive("token masking");
    MaskedTokens result{{ids.begin(), ids.end()}, {}, {}};
    for (Index b = 0; b < layout.sequences(); ++b) {
      const RandomStream stream = draws.derive(epoch, static_cast<std::uint64_t>(samples[static_cast<std::size_t>(b)]));
      const Positions positions = layout.positions(b);
      for (Index i = 0; i < positions.count; ++i) {
        const Index row = layout.offset(b) + i;
        std::int32_t& id = result.ids[static_cast<std::size_t>(row)];
        if (id < 0 || id >= config_.vocabulary) require_id("token of row " + std::to_string(row), id);
        const auto words = stream.words(static_cast<std::uint64_t>(positions[i]));
        if (words[0] >= selected || is_special(id)) continue;
        result.rows.push_back(row);
        result.labels.push_back(id);
        if (words[1] < masked) {
          id = config_.mask_id;
        } else if (words[1] < replaced) {
          id = ordinary(uniform_below(words[2], words[3], ordinary_count()));
        }
      }
    }
    return result;
  }

 private:
  static std::uint64_t threshold(double share) { return static_cast<std::uint64_t>(share * 4294967296.0); }

  void require_id(const std::string& what, std::int32_t id) const {
    detail::require(
        id >= 0 && id < config_.vocabulary, ErrorCode::out_of_range, what,
        [&] { return "0 to " + std::to_string(config_.vocabulary - 1); }, [&] { return std::to_string(id); });
  }

  [[nodiscard]] bool is_special(std::int32_t id) const {
    return std::binary_search(config_.special_ids.begin(), config_.special_ids.end(), id);
  }

  [[nodiscard]] std::uint64_t ordinary_count() const {
    return static_cast<std::uint64_t>(config_.vocabulary) - config_.special_ids.size();
  }

  /// The ordinary id with `place` ordinary ids below it.
  [[nodiscard]] std::int32_t ordinary(std::uint64_t place) const {
    auto id = static_cast<std::int32_t>(place);
    for (const std::int32_t special : config_.special_ids) {
      if (id < special) break;
      ++id;
    }
    return id;
  }

  TokenMaskingConfig config_;
};

}  // namespace linformer::inline LINFORMER_ABI
