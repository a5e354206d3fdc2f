#pragma once

#include <linformer/io/safetensors_header_reader.hpp>

#include <algorithm>
#include <cstring>

namespace linformer::inline LINFORMER_ABI {

/// Longest header, in bytes, that a file may have.
inline constexpr std::uint64_t safetensors_header_limit = 100'000'000;

namespace detail {

[[nodiscard]] inline std::string_view characters(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

/// @throws SafetensorsFailure header_too_long
inline void require_header_length(const std::string& file, std::uint64_t length) {
  if (length > safetensors_header_limit) {
    throw SafetensorsFailure(SafetensorsError::header_too_long, file, "",
                             "a header of at most " + std::to_string(safetensors_header_limit) + " bytes",
                             std::to_string(length) + " bytes");
  }
}

/// The header's text, by the length in the first 8 bytes.
inline std::string_view header_text(const std::string& file, std::span<const std::byte> bytes) {
  const std::string size = std::to_string(bytes.size()) + " bytes";
  std::uint64_t length = 0;
  if (bytes.size() < sizeof(length)) {
    throw SafetensorsFailure(SafetensorsError::file_too_short, file, "", "at least 8 bytes", size);
  }
  std::memcpy(&length, bytes.data(), sizeof(length));
  require_header_length(file, length);
  if (length > bytes.size() - sizeof(length)) {
    throw SafetensorsFailure(SafetensorsError::header_beyond_file, file, "", "a header within the file's " + size,
                             std::to_string(length) + " bytes");
  }
  return characters(bytes.subspan(sizeof(length), static_cast<std::size_t>(length)));
}

/// Fills in metadata and tensors, in the header's order.
inline void parse_header(const std::string& file, std::string_view text, std::span<const std::byte> data,
                         SafetensorsHeader& header) {
  const auto fail = [&](SafetensorsError rule, std::string expected, std::string actual) {
    throw SafetensorsFailure(rule, file, "", std::move(expected), std::move(actual));
  };
  if (const auto invalid = first_invalid_utf8(text)) {
    fail(SafetensorsError::invalid_utf8, "a header of UTF-8", "other bytes at " + std::to_string(*invalid));
  }
  if (!text.starts_with('{')) {
    fail(SafetensorsError::header_not_object, "a header that begins with {",
         "\"" + printable(text.substr(0, 8)) + "\"");
  }
  // The parser would take a zero byte for the end of its input.
  if (const std::size_t zero = text.find('\0'); zero != std::string_view::npos) {
    fail(SafetensorsError::invalid_json, "a header of JSON", "a zero byte at " + std::to_string(zero));
  }
  HeaderReader reader(file, data, header);
  nlohmann::json::sax_parse(text.begin(), text.end(), &reader);
  // The parser passes over any white space at the end; the format allows spaces.
  if (text[text.find_last_not_of(' ')] != '}') {
    fail(SafetensorsError::trailing_bytes, "spaces after the header's object", "other white space");
  }
}

/// Sorts tensors by place. @throws SafetensorsFailure unless they cover the data, each byte once
inline void require_cover(const std::string& file, std::span<const std::byte> data,
                          std::vector<SafetensorsTensor>& tensors) {
  const auto begin = [&](const SafetensorsTensor& tensor) { return tensor.bytes.data() - data.data(); };
  std::stable_sort(tensors.begin(), tensors.end(), [](const SafetensorsTensor& a, const SafetensorsTensor& b) {
    return std::pair(a.bytes.data(), a.bytes.size()) < std::pair(b.bytes.data(), b.bytes.size());
  });
  std::ptrdiff_t end = 0;
  for (const SafetensorsTensor& tensor : tensors) {
    if (begin(tensor) != end) {
      throw SafetensorsFailure(begin(tensor) < end ? SafetensorsError::overlap : SafetensorsError::hole, file,
                               tensor.name, "data from byte " + std::to_string(end),
                               "data from byte " + std::to_string(begin(tensor)));
    }
    end += static_cast<std::ptrdiff_t>(tensor.bytes.size());
  }
  if (static_cast<std::size_t>(end) != data.size()) {
    throw SafetensorsFailure(SafetensorsError::unused_data, file, "", std::to_string(end) + " bytes of data",
                             std::to_string(data.size()) + " bytes");
  }
}

/// Reads and checks the header of a whole file in memory; the tensors view the file's bytes and are in their order.
/// Memory is taken in proportion to the header that is there, whatever sizes it claims.
/// @param file name for messages
/// @throws SafetensorsFailure
inline SafetensorsHeader parse_safetensors(const std::string& file, std::span<const std::byte> bytes) {
  SafetensorsHeader header;
  const std::string_view text = header_text(file, bytes);
  const std::span<const std::byte> data = bytes.subspan(sizeof(std::uint64_t) + text.size());
  parse_header(file, text, data, header);
  require_cover(file, data, header.tensors);
  return header;
}

}  // namespace detail

}  // namespace linformer::inline LINFORMER_ABI
