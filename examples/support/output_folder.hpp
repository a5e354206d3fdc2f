#pragma once

#include <linformer/core/file.hpp>

#include "model_folder.hpp"

#include <nlohmann/json.hpp>

#include <sys/file.h>

#include <cerrno>
#include <filesystem>
#include <string>

/// A folder that collects results over several runs: all made by the same, which manifest.json tells, and by one run
/// at a time. One object in one process, for as long as the run goes on.
class OutputFolder {
 public:
  /// Makes the folder if need be, and removes temporary files that a killed run has left in it.
  /// @param manifest what results depend on
  /// @throws linformer::Error invalid_configuration naming the first entry of the folder's manifest that is another,
  ///     or if there is none and the folder is not empty; file_access if another run is at work in it
  OutputFolder(const std::filesystem::path& path, const nlohmann::ordered_json& manifest) {
    using linformer::ErrorCode;
    std::filesystem::create_directories(path);
    lock(path.string());
    bool empty = true;
    for (const auto& entry : std::filesystem::directory_iterator(path)) {
      const std::string name = entry.path().filename().string();
      if (name.starts_with(".linformer.") && name.ends_with(".tmp")) {
        std::filesystem::remove(entry.path());
      } else {
        empty = false;
      }
    }
    const std::string file = (path / "manifest.json").string();
    if (!std::filesystem::exists(file)) {
      linformer::detail::require(empty, ErrorCode::invalid_configuration, path.string(),
                                 "an empty folder, or one with the manifest.json of the same model and settings",
                                 "other files");
      linformer::write_file(file, manifest.dump(2) + "\n");
      return;
    }
    const nlohmann::json present = linformer::read_json(file);
    for (const auto& [name, value] : manifest.items()) {
      const bool same = present.is_object() && present.contains(name) && present[name] == nlohmann::json(value);
      linformer::detail::require(same, ErrorCode::invalid_configuration, file,
                                 "results of this run's " + name + ", " + value.dump(),
                                 present.is_object() && present.contains(name) ? present[name].dump() : "none");
    }
  }

 private:
  /// Until the process ends, however it ends.
  void lock(const std::string& path) {
    using linformer::detail::until_uninterrupted;
    folder_ = linformer::detail::FileDescriptor(
        until_uninterrupted([&] { return ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC); }));
    if (!folder_) linformer::detail::fail_file_access(path, "a folder that can be opened", errno);
    const int failure = until_uninterrupted([&] { return ::flock(folder_.number(), LOCK_EX | LOCK_NB); });
    // Other failures: a file system that knows no locks.
    linformer::detail::require(failure == 0 || errno != EWOULDBLOCK, linformer::ErrorCode::file_access, path,
                               "a folder that no other run works in", "one that another run has locked");
  }

  linformer::detail::FileDescriptor folder_;
};
