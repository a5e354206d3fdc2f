#pragma once

// The headers that write or map files are written for POSIX: they include <unistd.h>, and Windows has no such header.

#include <linformer/core/error.hpp>

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <system_error>
#include <utility>

namespace linformer::inline LINFORMER_ABI::detail {

/// @throws Error file_access naming the file, with the system's words for `error`, a value of errno
[[noreturn]] inline void fail_file_access(const std::string& path, const char* expected, int error) {
  throw Error(ErrorCode::file_access, path, expected,
              error == 0 ? "an unknown failure" : std::generic_category().message(error));
}

/// An open file that closes itself.
class FileDescriptor {
 public:
  FileDescriptor() = default;
  explicit FileDescriptor(int number) noexcept : number_(number) {}
  FileDescriptor(FileDescriptor&& other) noexcept : number_(std::exchange(other.number_, -1)) {}
  FileDescriptor& operator=(FileDescriptor&& other) noexcept {
    std::swap(number_, other.number_);
    return *this;
  }
  FileDescriptor(const FileDescriptor&) = delete;
  FileDescriptor& operator=(const FileDescriptor&) = delete;
  ~FileDescriptor() {
    if (number_ >= 0) ::close(number_);
  }

  [[nodiscard]] explicit operator bool() const noexcept { return number_ >= 0; }
  [[nodiscard]] int number() const noexcept { return number_; }

  /// Closes the file. Returns errno, or 0; a file that an interrupted close left is closed all the same.
  [[nodiscard]] int close() noexcept {
    const int number = std::exchange(number_, -1);
    return number < 0 || ::close(number) == 0 || errno == EINTR ? 0 : errno;
  }

 private:
  int number_ = -1;
};

/// As `call()`, a system call that returns a negative number on failure, until no signal interrupts it.
template <class Call>
auto until_uninterrupted(const Call& call) {
  auto result = call();
  while (result < 0 && errno == EINTR) result = call();
  return result;
}

}  // namespace linformer::inline LINFORMER_ABI::detail
