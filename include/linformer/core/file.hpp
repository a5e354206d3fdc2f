#pragma once

#include <linformer/core/atomic_file.hpp>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>
#include <system_error>

namespace linformer::inline LINFORMER_ABI {

namespace detail {

[[noreturn]] inline void throw_file_access(const std::filesystem::path& path, const char* expected) {
  fail_file_access(path.string(), expected, errno);
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

}  // namespace detail

/// All bytes of a file. @throws Error file_access; malformed_input for more of them than `most`
[[nodiscard]] inline std::string read_file(const std::filesystem::path& path, std::size_t most = std::string::npos) {
  std::ifstream in = detail::open_to_read(path);
  std::string bytes;
  std::error_code unknown_size;
  if (const auto size = std::filesystem::file_size(path, unknown_size); !unknown_size) {
    bytes.reserve(std::min<std::uintmax_t>(size, most));
  }
  for (char block[1 << 16]; in.read(block, sizeof block), in.gcount() > 0;) {
    bytes.append(block, static_cast<std::size_t>(in.gcount()));
    detail::require(
        bytes.size() <= most, ErrorCode::malformed_input, path.string(),
        [&] { return "at most " + std::to_string(most) + " bytes"; }, [] { return std::string("more"); });
  }
  if (in.bad()) detail::throw_file_access(path, "a file that can be read");
  return bytes;
}

/// Writes a whole file, see `AtomicFile`. @throws Error file_access naming the file; the old one then stays
inline void write_file(const std::filesystem::path& path, std::string_view bytes) {
  AtomicFile file(path.string());
  file.write(std::as_bytes(std::span(bytes)));
  file.commit();
}

}  // namespace linformer::inline LINFORMER_ABI
