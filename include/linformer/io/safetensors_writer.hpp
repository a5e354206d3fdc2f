#pragma once

#include <linformer/core/atomic_file.hpp>
#include <linformer/io/safetensors_header.hpp>

namespace linformer::inline LINFORMER_ABI {

namespace detail {

/// @throws SafetensorsFailure invalid_utf8 unless `text`, which belongs to `key`, is UTF-8
inline void require_utf8(const std::string& file, std::string_view key, std::string_view text) {
  if (first_invalid_utf8(text)) {
    throw SafetensorsFailure(SafetensorsError::invalid_utf8, file, key, "UTF-8", "other bytes");
  }
}

/// Puts tensors into the file's order: those of larger elements first, so that each lies at a multiple of its element's
/// size, then by name, so that equal tensors make equal files. @throws SafetensorsFailure if one cannot be written
inline void arrange_tensors(const std::string& file, std::vector<SafetensorsTensor>& tensors) {
  const auto fail = [&](SafetensorsError rule, const std::string& name, const char* expected, const char* actual) {
    throw SafetensorsFailure(rule, file, name, expected, actual);
  };
  std::sort(tensors.begin(), tensors.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    const SafetensorsTensor& tensor = tensors[i];
    require_utf8(file, tensor.name, tensor.name);
    if (tensor.name == metadata_key) fail(SafetensorsError::invalid_metadata, tensor.name, "another name", "this one");
    if (i > 0 && tensors[i - 1].name == tensor.name) {
      fail(SafetensorsError::duplicate_key, tensor.name, "every name once", "a second one");
    }
    if (std::any_of(tensor.shape.begin(), tensor.shape.end(), [](Index size) { return size < 0; })) {
      fail(SafetensorsError::invalid_shape, tensor.name, "non-negative sizes", "a negative one");
    }
    require_byte_count(file, tensor, tensor.bytes.size());
  }
  std::stable_sort(tensors.begin(), tensors.end(),
                   [](const auto& a, const auto& b) { return dtype_size(a.dtype) > dtype_size(b.dtype); });
}

/// All that comes before the data of tensors in this order: the header's length, and the header, padded with spaces so
/// that the data begins at a multiple of 8 bytes.
inline std::string header_bytes(const std::string& file, const std::vector<SafetensorsTensor>& tensors,
                                const std::map<std::string, std::string>& metadata) {
  nlohmann::ordered_json header = nlohmann::ordered_json::object();
  for (const auto& [key, value] : metadata) {
    require_utf8(file, key, key);
    require_utf8(file, key, value);
  }
  if (!metadata.empty()) header[std::string(metadata_key)] = metadata;
  std::uint64_t offset = 0;
  for (const SafetensorsTensor& tensor : tensors) {
    const std::uint64_t end = offset + tensor.bytes.size();
    header[tensor.name] = {
        {"dtype", dtype_name(tensor.dtype)}, {"shape", tensor.shape}, {"data_offsets", {offset, end}}};
    offset = end;
  }
  std::string text = header.dump();
  text.append((8 - text.size() % 8) % 8, ' ');
  require_header_length(file, text.size());
  const std::uint64_t length = text.size();
  std::string bytes(sizeof(length), '\0');
  std::memcpy(bytes.data(), &length, sizeof(length));
  return bytes + text;
}

}  // namespace detail

/// Writes a safetensors file atomically; the values go from where they are to the file. The same tensors, in any order,
/// and metadata give the same bytes.
/// @throws SafetensorsFailure before anything is written: duplicate_key, invalid_metadata (a tensor named
///     `__metadata__`), invalid_utf8, invalid_shape, size_overflow, size_mismatch or header_too_long
/// @throws Error file_access naming the file; the old one then stays
inline void write_safetensors(const std::string& path, std::vector<SafetensorsTensor> tensors,
                              const std::map<std::string, std::string>& metadata = {}) {
  detail::arrange_tensors(path, tensors);
  const std::string header = detail::header_bytes(path, tensors, metadata);
  AtomicFile file(path);
  file.write(std::as_bytes(std::span(header)));
  for (const SafetensorsTensor& tensor : tensors) file.write(tensor.bytes);
  file.commit();
}

}  // namespace linformer::inline LINFORMER_ABI
