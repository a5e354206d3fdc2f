#pragma once

#include <linformer/core/file.hpp>

#include <cerrno>
#include <cstdio>
#include <iostream>
#include <string>

// Streams tell nobody that they fail, unless they are asked.

/// The next line of a stream, without what ends it: "\n" or "\r\n". @return whether there was one
inline bool next_line(std::istream& in, std::string& line) {
  if (!std::getline(in, line)) return false;
  if (line.ends_with('\r')) line.pop_back();
  return true;
}

/// After the last line of a stream: it ended because there was no more. @throws linformer::Error file_access naming it
inline void require_read_to_end(const std::istream& in, const std::string& name) {
  if (in.bad()) linformer::detail::fail_file_access(name, "a file that can be read", errno);
}

/// Sends off what has been written. @throws linformer::Error file_access naming the stream if it does not take it
inline void flush(std::ostream& out, const std::string& name) {
  errno = 0;
  if (!out.flush()) linformer::detail::fail_file_access(name, "to write all of it", errno);
}
