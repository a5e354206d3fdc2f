#pragma once

#include <linformer/core/file_descriptor.hpp>

#include <sys/stat.h>

#include <cstddef>
#include <span>
#include <string>

namespace linformer::inline LINFORMER_ABI {

namespace detail {

/// Writes all bytes by calls of `write_some(bytes)`, which may write a part of them, or be interrupted by a signal.
/// Returns errno, or 0.
template <class WriteSome>
[[nodiscard]] int write_all(std::span<const std::byte> bytes, const WriteSome& write_some) {
  while (!bytes.empty()) {
    const auto written = until_uninterrupted([&] { return write_some(bytes); });
    if (written < 0) return errno;
    if (written == 0) return EIO;  // a device that takes nothing: trying again might never end
    bytes = bytes.subspan(static_cast<std::size_t>(written));
  }
  return 0;
}

}  // namespace detail

/// Writes a file so that its path always names either the old file or the whole new one, whatever fails: bytes go to a
/// temporary file in the same folder, which `commit` puts in the place of the old one. Without `commit` the old file
/// stays and the temporary one is removed; one that a killed process has left is named `.linformer.*.tmp`.
///
/// A symbolic link at the path is replaced, not followed. The new file's mode is that of any new file.
class AtomicFile {
 public:
  /// @throws Error file_access naming the file
  explicit AtomicFile(std::string path) : path_(std::move(path)) {
    const std::size_t slash = path_.rfind('/');
    const std::string folder = slash == std::string::npos ? "." : path_.substr(0, slash + 1);
    name_ = slash == std::string::npos ? path_ : path_.substr(slash + 1);
    // Everything is done relative to the open folder, so that it stays the same folder, and can be synced at the end.
    folder_ = detail::FileDescriptor(
        detail::until_uninterrupted([&] { return ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC); }));
    if (!folder_) fail("a folder that can be opened", errno);
    create_temporary();
  }
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;
  ~AtomicFile() { remove_temporary(); }

  /// Appends. @throws Error file_access naming the file, such as where the disk is full
  void write(std::span<const std::byte> bytes) {
    const int error = detail::write_all(
        bytes, [this](std::span<const std::byte> rest) { return ::write(file_.number(), rest.data(), rest.size()); });
    if (error != 0) fail("to write the file", error);
  }

  /// Makes the new file durable and puts it in place of the old one. Call it once, last.
  /// @throws Error file_access naming the file. Only where the folder cannot be synced is the new file in its place
  ///     already, but perhaps not after a loss of power.
  void commit() {
    if (detail::until_uninterrupted([this] { return ::fsync(file_.number()); }) != 0) fail("to sync the file", errno);
    if (const int error = file_.close(); error != 0) fail("to close the file", error);
    if (::renameat(folder_.number(), temporary_.c_str(), folder_.number(), name_.c_str()) != 0) {
      fail("to put the new file in place", errno);
    }
    temporary_.clear();
    // EINVAL: a file system that knows no sync of folders.
    if (detail::until_uninterrupted([this] { return ::fsync(folder_.number()); }) != 0 && errno != EINVAL) {
      fail("to sync the folder", errno);
    }
  }

 private:
  [[noreturn]] void fail(const char* expected, int error) {
    remove_temporary();
    detail::fail_file_access(path_, expected, error);
  }

  void create_temporary() {
    // Names of other threads, and those that a killed process of this number has left, are stepped over.
    const std::string prefix = ".linformer." + std::to_string(::getpid()) + ".";
    for (int attempt = 0; attempt < 10000; ++attempt) {
      const std::string name = prefix + std::to_string(attempt) + ".tmp";
      file_ = detail::FileDescriptor(detail::until_uninterrupted(
          [&] { return ::openat(folder_.number(), name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666); }));
      if (file_) {
        temporary_ = name;
        return;
      }
      if (errno != EEXIST) break;
    }
    fail("a folder that can be written to", errno);
  }

  void remove_temporary() noexcept {
    if (!temporary_.empty()) ::unlinkat(folder_.number(), temporary_.c_str(), 0);
    temporary_.clear();
  }

  std::string path_, name_, temporary_;
  detail::FileDescriptor folder_, file_;
};

}  // namespace linformer::inline LINFORMER_ABI
