#pragma once

#include <linformer/core/error.hpp>

#include "support/catch.hpp"

#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>

namespace linformer_test {

/// A new folder that is removed in the end.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "linformer-XXXXXX").string();
    if (mkdtemp(name.data()) == nullptr) throw std::runtime_error("no temporary folder");
    path_ = name;
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }

  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

  /// Writes a file, and the folders above it.
  [[nodiscard]] std::filesystem::path write(const std::filesystem::path& name, std::string_view bytes) const {
    const std::filesystem::path file = path_ / name;
    std::filesystem::create_directories(file.parent_path());
    std::ofstream(file, std::ios::binary) << bytes;
    return file;
  }

 private:
  std::filesystem::path path_;
};

/// A file of the real data that LINFORMER_DATA names; none, with a warning, where it is not there.
inline std::optional<std::filesystem::path> data_file(const std::filesystem::path& name) {
  const char* folder = std::getenv("LINFORMER_DATA");
  if (folder != nullptr && std::filesystem::exists(folder / name)) return folder / name;
  WARN("skipped: LINFORMER_DATA names no folder with " << name);
  return std::nullopt;
}

/// The error that `call` throws.
template <class Call>
linformer::Error error_of(const Call& call) {
  try {
    call();
  } catch (const linformer::Error& error) {
    return error;
  }
  throw std::logic_error("nothing was thrown");
}

}  // namespace linformer_test
