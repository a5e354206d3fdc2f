#pragma once

#include <linformer/core/file_descriptor.hpp>

#include <sys/mman.h>
#include <sys/stat.h>

#include <cstddef>
#include <span>
#include <string>
#include <utility>

namespace linformer::inline LINFORMER_ABI {

/// A file mapped read-only: its pages are read as they are touched and never held as a whole. Moving it leaves the
/// bytes where they are. Nobody may shorten the file meanwhile: touching what is gone ends the program (SIGBUS).
class MappedFile {
 public:
  /// @throws Error file_access naming the file if it is not there, cannot be read or is not a regular file
  explicit MappedFile(const std::string& path) {
    // Without O_NONBLOCK, opening a pipe would wait for its writer.
    const detail::FileDescriptor file(
        detail::until_uninterrupted([&] { return ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK); }));
    struct stat status {};
    if (!file || ::fstat(file.number(), &status) != 0) detail::fail_file_access(path, "a readable file", errno);
    detail::require(S_ISREG(status.st_mode), ErrorCode::file_access, path, "a regular file", "another kind of file");
    const auto size = static_cast<std::size_t>(status.st_size);
    if (size == 0) return;  // nothing can be mapped
    void* const memory = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file.number(), 0);
    if (memory == MAP_FAILED) detail::fail_file_access(path, "a file that can be mapped", errno);
    bytes_ = {static_cast<const std::byte*>(memory), size};
  }
  MappedFile(MappedFile&& other) noexcept : bytes_(std::exchange(other.bytes_, {})) {}
  MappedFile& operator=(MappedFile&& other) noexcept {
    std::swap(bytes_, other.bytes_);
    return *this;
  }
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;
  ~MappedFile() {
    if (!bytes_.empty()) ::munmap(const_cast<std::byte*>(bytes_.data()), bytes_.size());
  }

  [[nodiscard]] std::span<const std::byte> bytes() const noexcept { return bytes_; }

 private:
  std::span<const std::byte> bytes_;
};

}  // namespace linformer::inline LINFORMER_ABI
