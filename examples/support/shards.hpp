#pragma once

#include <linformer/core/error.hpp>

#include "output_folder.hpp"

#include <glob.h>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

// A corpus as files, and who works on which of them.

/// One file of a corpus, and the files that its results go to.
struct Shard {
  std::string input, output;
  std::optional<std::uintmax_t> bytes;  ///< of the input, where it can be told

  /// Where the records go that are none.
  [[nodiscard]] std::string malformed() const { return output + ".malformed"; }
  /// The bytes; none where they are not known.
  [[nodiscard]] std::uintmax_t size() const { return bytes.value_or(0); }
};

/// The files that patterns of a shell (glob(7)) match, sorted by name, each with an output of its own name in a folder.
/// @throws linformer::Error file_access naming a pattern that matches nothing; invalid_configuration if two files would
///     have the same output, or one would be its own
inline std::vector<Shard> find_shards(std::span<const std::string> patterns, const std::filesystem::path& folder) {
  using linformer::ErrorCode;
  std::vector<std::string> inputs;
  for (const std::string& pattern : patterns) {
    glob_t found{};
    const int failure = ::glob(pattern.c_str(), 0, nullptr, &found);
    inputs.insert(inputs.end(), found.gl_pathv, found.gl_pathv + found.gl_pathc);
    ::globfree(&found);
    linformer::detail::require(failure == 0, ErrorCode::file_access, pattern, "a file of such a name", "none");
  }
  std::sort(inputs.begin(), inputs.end());
  inputs.erase(std::unique(inputs.begin(), inputs.end()), inputs.end());

  std::vector<Shard> shards;
  std::map<std::string, std::string> owners;
  for (const char* name : OutputFolder::own_files) owners.emplace((folder / name).string(), "the folder itself");
  for (const std::string& input : inputs) {
    const std::filesystem::path path(input);
    Shard shard{input, (folder / path.filename()).string(), {}};
    std::error_code unknown;
    if (const auto bytes = std::filesystem::file_size(path, unknown); !unknown) shard.bytes = bytes;
    linformer::detail::require(!std::filesystem::equivalent(path, shard.output, unknown),
                               ErrorCode::invalid_configuration, shard.output, "another folder than the input's",
                               "the same");
    for (const std::string& written : {shard.output, shard.malformed()}) {
      const auto [owner, is_new] = owners.emplace(written, input);
      linformer::detail::require(is_new, ErrorCode::invalid_configuration, written, "the output of one file",
                                 "that of " + owner->second + " and of " + input);
    }
    shards.push_back(std::move(shard));
  }
  return shards;
}

/// What one of several processes works on, from the largest to the smallest. Every process computes the same: the next
/// largest goes to whoever has the fewest bytes so far. So nothing is claimed in files that a killed run could leave
/// behind, and the last to end takes at most 4/3 of the shortest time possible, as far as time goes with bytes (Graham
/// 1969, "Bounds on multiprocessing timing anomalies", SIAM J. Appl. Math. 17).
inline std::vector<Shard> shards_of_rank(std::vector<Shard> shards, linformer::Index rank, linformer::Index ranks) {
  std::stable_sort(shards.begin(), shards.end(), [](const Shard& a, const Shard& b) { return a.size() > b.size(); });
  std::vector<std::uintmax_t> loads(static_cast<std::size_t>(ranks));
  std::vector<Shard> mine;
  for (Shard& shard : shards) {
    const auto least = std::min_element(loads.begin(), loads.end());
    *least += std::max<std::uintmax_t>(shard.size(), 1);  // empty ones are spread as well
    if (least - loads.begin() == rank) mine.push_back(std::move(shard));
  }
  return mine;
}
