#pragma once

#include <linformer/core/file.hpp>

#include <bit>
#include <span>
#include <string>

/// Writes a matrix as NumPy reads it, `numpy.load(path)`: format 1.0, float32 in C order.
inline void write_numpy(const std::string& path, std::span<const float> values, linformer::Index rows,
                        linformer::Index columns) {
  static_assert(std::endian::native == std::endian::little);
  std::string header = "{'descr': '<f4', 'fortran_order': False, 'shape': (" + std::to_string(rows) + ", " +
                       std::to_string(columns) + "), }";
  constexpr std::size_t before = 10, unit = 64;  // of magic, version and length; what the whole must be a multiple of
  header.append((unit - (before + header.size() + 1) % unit) % unit, ' ').push_back('\n');
  std::string bytes("\x93NUMPY\x01\x00", 8);
  bytes += static_cast<char>(header.size() & 255);
  bytes += static_cast<char>(header.size() >> 8);
  bytes += header;
  bytes.append(reinterpret_cast<const char*>(values.data()), values.size_bytes());
  linformer::write_file(path, bytes);
}
