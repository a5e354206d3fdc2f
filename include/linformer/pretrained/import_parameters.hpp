#pragma once

#include <linformer/pretrained/checkpoint_keys.hpp>
#include <linformer/pretrained/import_report.hpp>

#include <algorithm>
#include <vector>

namespace linformer::inline LINFORMER_ABI::detail {

/// Where the values of one parameter are.
struct ParameterSource {
  const SafetensorsFile* file;
  std::string key;
  Index skipped_rows = 0;  ///< at the tensor's start
};

/// @throws SafetensorsFailure missing_tensor, shape_mismatch or unreadable_dtype; Error unsupported where two tensors
///     that should be copies are not
inline ParameterSource find_source(const Checkpoint& checkpoint, const std::vector<std::string>& keys, Shape shape,
                                   Index skipped_rows, std::set<std::string, std::less<>>& taken) {
  const auto found = std::find_if(keys.begin(), keys.end(), [&](const auto& key) { return checkpoint.find(key); });
  const std::string& key = found == keys.end() ? keys.front() : *found;
  std::vector<Index> stored(shape.begin(), shape.end());
  stored.front() += skipped_rows;
  const SafetensorsFile& file = checkpoint.file_of(key);
  const SafetensorsTensor& tensor = file.require(key, stored);
  taken.insert(key);
  for (auto other = found; other != keys.end(); ++other) {
    const SafetensorsTensor* const copy = checkpoint.find(*other);
    if (copy == nullptr || copy == &tensor) continue;
    const bool equal =
        copy->dtype == tensor.dtype && copy->shape == tensor.shape && std::ranges::equal(copy->bytes, tensor.bytes);
    require(equal, ErrorCode::unsupported, checkpoint.file_of(*other).name() + ": " + printable(*other),
            "a copy of " + printable(key) + ", as the two are one parameter here", "another tensor");
    taken.insert(*other);
  }
  return {&file, key, skipped_rows};
}

/// Reads every parameter of a module but E and F from a checkpoint, of which every tensor must be read or known. All is
/// checked before the first value is written.
template <class Module>
ImportReport import_parameters(const Checkpoint& checkpoint, const CheckpointKeys& keys, Index position_offset,
                               Module& module) {
  std::set<std::string, std::less<>> taken;
  std::vector<ParameterSource> sources;
  ImportReport report;
  std::as_const(module).for_each_parameter([&](const std::string& name, Shape shape, auto) {
    const Index skipped = name == "embeddings.position_embeddings.weight" ? position_offset : 0;
    sources.push_back(find_source(checkpoint, keys.of(name), shape, skipped, taken));
  });
  for (const auto& [key, file] : checkpoint.places()) {
    if (taken.contains(key)) continue;
    const std::optional<std::string> reason = keys.reason_to_ignore(key);
    if (!reason) {
      throw SafetensorsFailure(SafetensorsError::unexpected_tensor, file->name(), key, "no such tensor",
                               "one of shape " + printable(shape_text(file->find(key)->shape)));
    }
    report.ignored.push_back({key, *reason});
  }
  auto source = sources.begin();
  module.for_each_parameter([&](const std::string&, Shape shape, auto values) {
    const SafetensorsTensor& tensor = *source->file->find(source->key);
    const std::size_t row = dtype_size(tensor.dtype) * values.size() / static_cast<std::size_t>(shape[0]);
    convert_values(tensor.dtype, tensor.bytes.subspan(row * static_cast<std::size_t>(source->skipped_rows)), values);
    ++source;
  });
  return report;
}

}  // namespace linformer::inline LINFORMER_ABI::detail
