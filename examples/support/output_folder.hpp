#pragma once

#include <linformer/core/file.hpp>
#include <linformer/io/json.hpp>

#include <nlohmann/json.hpp>

#include <sys/file.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <string>

/// A folder that collects results over several runs: all made by the same, which manifest.json tells, and by one run
/// at a time. One object in one process, for as long as the run goes on.
class OutputFolder {
 public:
  /// Names that no result can have.
  static constexpr std::array<const char*, 2> own_files{"manifest.json", ".linformer.lock"};

  /// Makes the folder if need be, and removes temporary files that a killed run has left in it.
  /// @param manifest what results depend on: an object. Null in it is what is not known, and goes with anything; what
  ///     one run knows and the one before did not is taken up
  /// @throws linformer::Error invalid_configuration naming the first entry of the folder's manifest that is another,
  ///     or if there is none and the folder is not empty; file_access if another run is at work in it
  OutputFolder(const std::filesystem::path& path, const nlohmann::json& manifest) {
    using linformer::ErrorCode;
    std::filesystem::create_directories(path);
    const std::string file = (path / own_files[0]).string();
    // Before anything is left in a folder that is somebody else's.
    linformer::detail::require(
        is_empty(path) || std::filesystem::exists(file), ErrorCode::invalid_configuration, path.string(),
        "an empty folder, or one with the manifest.json of the same model, settings and input", "other files");
    lock(path.string(), (path / own_files[1]).string());
    for (const auto& entry : std::filesystem::directory_iterator(path)) {
      if (is_temporary(entry.path())) std::filesystem::remove(entry.path());
    }
    if (!std::filesystem::exists(file)) {
      linformer::write_file(file, manifest.dump(2) + "\n");
      return;
    }
    const auto present = linformer::read_json(file);
    linformer::detail::require(present.is_object(), ErrorCode::malformed_input, file, "a JSON object",
                               present.type_name());
    const nlohmann::json merged = merge(file, "", present, manifest);
    if (merged != present) linformer::write_file(file, merged.dump(2) + "\n");
  }

 private:
  static bool is_temporary(const std::filesystem::path& path) {
    const std::string name = path.filename().string();
    return name.starts_with(".linformer.") && name.ends_with(".tmp");
  }
  /// But for what a run that was killed at its start may have left.
  static bool is_empty(const std::filesystem::path& folder) {
    const std::filesystem::directory_iterator entries(folder);
    return std::all_of(begin(entries), end(entries), [](const auto& entry) {
      return is_temporary(entry.path()) || entry.path().filename() == own_files[1];
    });
  }

  /// Both, where they do not contradict each other. @param entry of the manifest, empty for all of it
  static nlohmann::json merge(const std::string& file, const std::string& entry, const nlohmann::json& present,
                              const nlohmann::json& wanted) {
    const auto require_same = [&](bool same, const std::string& its, const std::string& expected,
                                  const std::string& actual) {
      linformer::detail::require(same, linformer::ErrorCode::invalid_configuration, file,
                                 "results of this run's " + its + ", " + expected, actual);
    };
    if (wanted.is_null()) return present;
    if (present.is_null()) return wanted;
    if (!wanted.is_object() || !present.is_object()) {
      require_same(wanted == present, entry, wanted.dump(), present.dump());
      return wanted;
    }
    const std::string of = entry.empty() ? "" : entry + ": ";
    nlohmann::json merged;
    for (const auto& [name, value] : wanted.items()) {
      require_same(present.contains(name), of + name, value.dump(), "none");
      merged[name] = merge(file, of + name, present[name], value);
    }
    for (const auto& [name, value] : present.items()) {
      require_same(wanted.contains(name), of + name, "none", value.dump());
    }
    return merged;
  }

  /// Until the process ends, however it ends: the file that is locked stays, and says nothing. It is one that is open
  /// to be written to, as a lock on a file system that several machines share demands.
  void lock(const std::string& path, const std::string& file) {
    using linformer::detail::until_uninterrupted;
    file_ = linformer::detail::FileDescriptor(
        until_uninterrupted([&] { return ::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666); }));
    if (!file_) linformer::detail::fail_file_access(path, "a folder that can be written to", errno);
    if (until_uninterrupted([&] { return ::flock(file_.number(), LOCK_EX | LOCK_NB); }) == 0) return;
    linformer::detail::require(errno != EWOULDBLOCK, linformer::ErrorCode::file_access, path,
                               "a folder that no other run works in", "one that another run has locked");
    std::fprintf(stderr, "%s: no locks on this file system (%s): see to it that no other run works in this folder.\n",
                 path.c_str(), std::generic_category().message(errno).c_str());
  }

  linformer::detail::FileDescriptor file_;
};
