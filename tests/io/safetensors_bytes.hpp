#pragma once

#include <cstdint>
#include <string>

/// A safetensors file made by hand: length, header as given, data.
inline std::string safetensors_bytes(const std::string& header, const std::string& data = "") {
  std::string bytes;
  for (int i = 0; i < 8; ++i) bytes += static_cast<char>(static_cast<std::uint64_t>(header.size()) >> 8 * i & 0xFF);
  return bytes + header + data;
}
