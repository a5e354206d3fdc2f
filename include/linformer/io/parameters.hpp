#pragma once

#include <linformer/io/safetensors.hpp>
#include <linformer/io/safetensors_writer.hpp>

namespace linformer::inline LINFORMER_ABI {

/// Views of the parameters of anything with `for_each_parameter`, to be written: a parameter's name is the tensor's.
template <class Module>
[[nodiscard]] std::vector<SafetensorsTensor> parameter_tensors(const Module& module) {
  std::vector<SafetensorsTensor> tensors;
  module.for_each_parameter([&](const std::string& name, Shape shape, auto values) {
    tensors.push_back(safetensors_tensor(name, shape, values));
  });
  return tensors;
}

/// Writes them to a safetensors file, atomically. @throws as `write_safetensors`
template <class Module>
void save_parameters(const std::string& path, const Module& module,
                     const std::map<std::string, std::string>& metadata = {}) {
  write_safetensors(path, parameter_tensors(module), metadata);
}

/// Reads every parameter of a module from a file that holds these and no others. All is checked before the first value
/// is written: where an error is thrown, the module is as it was. Values are converted as by `SafetensorsFile::read`.
/// @param besides tensors that the file may hold as well; they are not read
/// @throws SafetensorsFailure missing_tensor, shape_mismatch, unreadable_dtype, unexpected_tensor, or duplicate_key if
///     two parameters have one name
template <class Module>
void load_parameters(const SafetensorsFile& file, Module& module, const std::set<std::string>& besides = {}) {
  std::set<std::string> names;
  std::as_const(module).for_each_parameter([&](const std::string& name, Shape shape, auto) {
    static_cast<void>(file.require(name, shape));
    if (!names.insert(name).second) {
      throw SafetensorsFailure(SafetensorsError::duplicate_key, file.name(), name, "every parameter's name once",
                               "a second parameter of this name");
    }
  });
  for (const SafetensorsTensor& tensor : file.tensors()) {
    if (!names.contains(tensor.name) && !besides.contains(tensor.name)) {
      throw SafetensorsFailure(SafetensorsError::unexpected_tensor, file.name(), tensor.name, "no such tensor",
                               "one of shape " + detail::printable(detail::shape_text(tensor.shape)));
    }
  }
  module.for_each_parameter([&](const std::string& name, Shape shape, auto values) { file.read(name, shape, values); });
}

}  // namespace linformer::inline LINFORMER_ABI
