#pragma once

#include <linformer/io/json.hpp>
#include <linformer/io/safetensors.hpp>

#include <deque>
#include <filesystem>

namespace linformer::inline LINFORMER_ABI {

/// The tensors of a folder of Hugging Face's: those of `model.safetensors`, or of the files that
/// `model.safetensors.index.json` lists where a model is spread over several. Values are read from maps of the files.
class Checkpoint {
 public:
  /// @throws Error file_access if neither can be read; malformed_input for an index that is none, as `read_json`
  /// @throws SafetensorsFailure for a file that breaks a rule, missing_tensor or unexpected_tensor where files and
  ///     index differ
  [[nodiscard]] static Checkpoint open(const std::filesystem::path& folder) {
    const std::filesystem::path whole = folder / "model.safetensors", index = folder / "model.safetensors.index.json";
    std::error_code ignored;
    Checkpoint checkpoint;
    if (!std::filesystem::exists(whole, ignored) && std::filesystem::exists(index, ignored)) {
      checkpoint.name_ = index.string();
      checkpoint.open_shards(folder);
    } else {
      checkpoint.name_ = whole.string();
      const SafetensorsFile& file = checkpoint.files_.emplace_back(SafetensorsFile::open(checkpoint.name_));
      for (const SafetensorsTensor& tensor : file.tensors()) checkpoint.places_.emplace(tensor.name, &file);
    }
    return checkpoint;
  }

  /// Of `model.safetensors`, or of the index.
  [[nodiscard]] const std::string& name() const noexcept { return name_; }
  /// The name of each tensor, and the file that holds it. Valid as long as this object, wherever it is moved.
  [[nodiscard]] const std::map<std::string, const SafetensorsFile*, std::less<>>& places() const noexcept {
    return places_;
  }
  /// The tensor of that name, or null.
  [[nodiscard]] const SafetensorsTensor* find(std::string_view tensor) const {
    const auto place = places_.find(tensor);
    return place == places_.end() ? nullptr : place->second->find(tensor);
  }
  /// The file that holds a tensor. @throws SafetensorsFailure missing_tensor
  [[nodiscard]] const SafetensorsFile& file_of(std::string_view tensor) const {
    const auto place = places_.find(tensor);
    if (place == places_.end()) {
      throw SafetensorsFailure(SafetensorsError::missing_tensor, name_, tensor, "a tensor", "none");
    }
    return *place->second;
  }

 private:
  void open_shards(const std::filesystem::path& folder) {
    const auto fail = [&](std::string_view key, const char* expected, std::string_view actual) {
      throw Error(ErrorCode::malformed_input, key.empty() ? name_ : name_ + ": " + detail::printable(key), expected,
                  detail::printable(actual));
    };
    const nlohmann::json index = read_json(name_);
    const auto map = index.is_object() ? index.find("weight_map") : index.end();
    if (map == index.end() || !map->is_object()) {
      fail("weight_map", "an object of tensors and their files", "none");
    }
    std::map<std::string, const SafetensorsFile*> files;
    for (const auto& [tensor, file] : map->items()) {
      if (!file.is_string()) fail(tensor, "the name of a file", detail::shown(file));
      const auto& name = file.get_ref<const std::string&>();
      // What lies elsewhere is none of this checkpoint's, whatever its index says.
      if (name.empty() || std::filesystem::path(name).filename() != name || name == "..") {
        fail(tensor, "the name of a file in the same folder", detail::shown(file));
      }
      const SafetensorsFile*& opened = files[name];
      if (opened == nullptr) opened = &files_.emplace_back(SafetensorsFile::open((folder / name).string()));
      if (opened->find(tensor) == nullptr) {
        throw SafetensorsFailure(SafetensorsError::missing_tensor, opened->name(), tensor,
                                 "a tensor, as the index says", "none");
      }
      places_.emplace(tensor, opened);
    }
    for (const SafetensorsFile& file : files_) {
      for (const SafetensorsTensor& tensor : file.tensors()) {
        const auto place = places_.find(tensor.name);
        if (place == places_.end() || place->second != &file) {
          throw SafetensorsFailure(SafetensorsError::unexpected_tensor, file.name(), tensor.name,
                                   "tensors that the index has in this file", "another");
        }
      }
    }
  }

  std::string name_;
  std::deque<SafetensorsFile> files_;  // stay in place when the object is moved
  std::map<std::string, const SafetensorsFile*, std::less<>> places_;
};

}  // namespace linformer::inline LINFORMER_ABI
