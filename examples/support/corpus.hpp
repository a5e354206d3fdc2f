#pragma once

#include <linformer/core/fingerprint.hpp>
#include <linformer/core/version.hpp>
#include <linformer/parallel/agreement.hpp>

#include "json_records.hpp"
#include "output_folder.hpp"
#include "progress.hpp"
#include "shards.hpp"
#include "shared_counts.hpp"

#include <chrono>
#include <cstdio>
#include <optional>
#include <span>
#include <string>
#include <vector>

/// How the shards of a corpus are gone through.
struct CorpusOptions {
  std::vector<std::string> input;  ///< patterns of JSON-lines files
  std::string output;              ///< folder
  RecordFields fields;
  linformer::Index batch = 32;  ///< records that are computed together
  bool keep_going = false;      ///< whether the others go on after a shard that cannot be read
};

/// Goes through all records of a corpus, each exactly once whatever happens: a shard's results appear all together, in
/// a file of the shard's name, and a run does what is missing. A shard whose output is there is done.
/// @tparam Classify called with some records, as classify(std::span<const JsonRecord>); returns a JSON object for each
template <linformer::World W, class Classify>
class CorpusRun {
 public:
  CorpusRun(CorpusOptions options, W world, Classify& classify)
      : options_(std::move(options)), world_(std::move(world)), classify_(classify) {}

  /// Collective. @param manifest what results depend on beside the shards, see `OutputFolder`
  /// @return the program's exit status
  /// @throws linformer::Error of the shards, the folder, or an output that cannot be written; ranks_disagree
  int run(nlohmann::json manifest) {
    const std::vector<Shard> shards = find_shards(options_.input, options_.output);
    for (const Shard& shard : shards) {
      manifest["shard_bytes"][shard.input] = shard.bytes ? nlohmann::json(*shard.bytes) : nullptr;
    }
    require_agreement(manifest);
    const bool first = world_.rank() == 0;
    std::optional<OutputFolder> folder;
    if (first) folder.emplace(options_.output, manifest);
    const std::vector<Shard> missing = missing_of(shards);
    std::printf("%zu shards, %zu of them done before.\n", shards.size(), shards.size() - missing.size());
    std::fflush(stdout);
    const double total_bytes = bytes_of(shards), done_bytes = total_bytes - bytes_of(missing);

    SharedCounts<W, counts> shared(world_);
    Progress progress("classify", std::max(total_bytes / 1e6, 1e-6), "MB", done_bytes / 1e6, !first);
    const auto start = std::chrono::steady_clock::now();
    const auto show = [&] {
      const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
      char note[80];
      std::snprintf(note, sizeof note, "%.0f records, %.0f records/s", shared.all()[records],
                    shared.all()[records] / std::max(seconds, 1e-9));
      progress.update((done_bytes + shared.all()[read_bytes]) / 1e6, note);
    };
    for (const Shard& shard : shards_of_rank(missing, world_.rank(), world_.size())) {
      const Counts before = shared.mine();
      try {
        classify_shard(shard, shared, show);
        ++shared.mine()[classified];
      } catch (const linformer::Error& error) {
        const bool unreadable_input =
            error.code() == linformer::ErrorCode::file_access && error.tensor() == shard.input;
        if (!options_.keep_going || !unreadable_input) throw;
        progress.clear();
        std::fprintf(stderr, "%s\n", error.what());
        shared.mine() = before;
        ++shared.mine()[unreadable];
      }
    }
    const Counts& sums = shared.finish(show);
    progress.clear();
    std::printf("%zu shards: %.0f classified, %zu done before, %.0f unreadable. %.0f records, %.0f malformed.\n",
                shards.size(), sums[classified], shards.size() - missing.size(), sums[unreadable], sums[records],
                sums[malformed]);
    return sums[unreadable] == 0 ? 0 : 1;
  }

 private:
  enum Count : std::size_t { classified, unreadable, records, malformed, read_bytes, counts };
  using Counts = std::array<double, counts>;

  [[nodiscard]] static double bytes_of(const std::vector<Shard>& shards) {
    double sum = 0;
    for (const Shard& shard : shards) sum += static_cast<double>(shard.size());
    return sum;
  }

  void require_agreement(const nlohmann::json& manifest) {
    linformer::Fingerprint fingerprint;
    for (const int part : {linformer::version_major, linformer::version_minor, linformer::version_patch}) {
      fingerprint.take(static_cast<std::uint64_t>(part));
    }
    fingerprint.take(manifest.dump());
    linformer::require_agreement(world_, "version, model, settings and shards", fingerprint.value());
  }

  /// Those without an output. The first process says which, so that all agree, and none writes before it has the
  /// folder.
  [[nodiscard]] std::vector<Shard> missing_of(const std::vector<Shard>& shards) {
    std::vector<double> done(shards.size());
    if (world_.rank() == 0) {
      for (std::size_t i = 0; i < shards.size(); ++i) done[i] = std::filesystem::exists(shards[i].output) ? 1 : 0;
    }
    world_.sum(std::span<double>(done));
    std::vector<Shard> missing;
    for (std::size_t i = 0; i < shards.size(); ++i) {
      if (done[i] == 0) missing.push_back(shards[i]);
    }
    return missing;
  }

  template <class Show>
  void classify_shard(const Shard& shard, SharedCounts<W, counts>& shared, const Show& show) {
    JsonRecordReader reader(shard.input, options_.fields);
    linformer::AtomicFile output(shard.output);
    std::optional<linformer::AtomicFile> set_aside;
    std::vector<JsonRecord> batch;
    const double bytes_before = shared.mine()[read_bytes];
    const auto write = [](linformer::AtomicFile& file, const std::string& lines) {
      file.write(std::as_bytes(std::span(lines)));
    };
    const auto reject = [&](const linformer::ReadReport::Malformed& fault, const std::string& line) {
      if (!set_aside) set_aside.emplace(shard.malformed());
      const nlohmann::ordered_json entry = {{"file", fault.file},
                                            {"line", fault.line},
                                            {"expected", fault.expected},
                                            {"got", fault.actual},
                                            {"record", line}};
      write(*set_aside, entry.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n");
      ++shared.mine()[malformed];
    };
    const auto classify_batch = [&] {
      std::string lines;
      const std::vector<nlohmann::ordered_json> results = classify_(std::span<const JsonRecord>(batch));
      for (std::size_t i = 0; i < batch.size(); ++i) {
        nlohmann::ordered_json line = {{"line", batch[i].line}};
        if (!batch[i].id.is_null()) line["id"] = batch[i].id;
        line.update(results[i]);
        lines += line.dump() + "\n";
      }
      write(output, lines);
      shared.mine()[records] += static_cast<double>(batch.size());
      shared.mine()[read_bytes] = bytes_before + reader.bytes();
      batch.clear();
      shared.update();
      show();
    };
    while (std::optional<JsonRecord> record = reader.next(reject)) {
      batch.push_back(std::move(*record));
      if (static_cast<linformer::Index>(batch.size()) == options_.batch) classify_batch();
    }
    if (!batch.empty()) classify_batch();
    // The output comes last: where it is, the shard is done.
    if (set_aside) {
      set_aside->commit();
    } else {
      std::filesystem::remove(shard.malformed());
    }
    output.commit();
  }

  CorpusOptions options_;
  W world_;
  Classify& classify_;
};
