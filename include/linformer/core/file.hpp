#pragma once

#include <linformer/core/error.hpp>

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>
#include <system_error>

#if __has_include(<unistd.h>)
#include <fcntl.h>
#include <unistd.h>
#endif

namespace linformer::inline LINFORMER_ABI {

namespace detail {

[[noreturn]] inline void throw_file_access(const std::filesystem::path& path, std::string expected) {
  const int code = errno;
  throw Error(ErrorCode::file_access, path.string(), std::move(expected),
              code == 0 ? "an unknown failure" : std::generic_category().message(code));
}

/// Opens a file to read its bytes. @throws Error file_access, of a folder as well
inline std::ifstream open_to_read(const std::filesystem::path& path) {
  errno = 0;
  std::ifstream in(path, std::ios::binary);
  std::error_code ignored;
  if (in && std::filesystem::is_directory(path, ignored)) errno = EISDIR, in.setstate(std::ios::failbit);
  if (!in) throw_file_access(path, "a file that can be read");
  return in;
}

/// Hands what was written of a file to the disk; where the system has no such call, it does nothing.
inline bool synchronise([[maybe_unused]] const std::filesystem::path& path) {
#if __has_include(<unistd.h>)
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) return false;
  const bool done = ::fsync(file) == 0;
  const int code = errno;
  ::close(file);
  errno = code;
  return done;
#else
  return true;
#endif
}

}  // namespace detail

/// All bytes of a file. @throws Error file_access
[[nodiscard]] inline std::string read_file(const std::filesystem::path& path) {
  std::ifstream in = detail::open_to_read(path);
  std::string bytes;
  std::error_code unknown_size;
  if (const auto size = std::filesystem::file_size(path, unknown_size); !unknown_size) bytes.reserve(size);
  for (char block[1 << 16]; in.read(block, sizeof block), in.gcount() > 0;) {
    bytes.append(block, static_cast<std::size_t>(in.gcount()));
  }
  if (in.bad()) detail::throw_file_access(path, "a file that can be read");
  return bytes;
}

/// Writes a file whole or not at all: a temporary sibling is written, handed to the disk and renamed. Two writers of
/// one path at a time are not provided for. @throws Error file_access, and then the sibling is removed
inline void write_file(const std::filesystem::path& path, std::string_view bytes) {
  std::filesystem::path sibling = path;
  sibling += ".partial";
  errno = 0;
  std::ofstream out(sibling, std::ios::binary | std::ios::trunc);
  out.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  out.close();
  std::error_code failure;
  if (out && detail::synchronise(sibling)) {
    std::filesystem::rename(sibling, path, failure);
    if (!failure) {
      // The name is safe once its folder is; some file systems cannot do that, and the file itself is whole by now.
      static_cast<void>(detail::synchronise(path.has_parent_path() ? path.parent_path() : "."));
      return;
    }
    errno = failure.value();
  }
  const int code = errno;
  std::filesystem::remove(sibling, failure);
  errno = code;
  detail::throw_file_access(path, "a file that can be written");
}

}  // namespace linformer::inline LINFORMER_ABI
