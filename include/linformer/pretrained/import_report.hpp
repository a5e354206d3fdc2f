#pragma once

#include <linformer/core/abi.hpp>

#include <string>
#include <vector>

namespace linformer::inline LINFORMER_ABI {

/// A tensor of a checkpoint that the model has no use for.
struct IgnoredTensor {
  std::string name;
  std::string reason;
};

/// What became of a checkpoint's tensors: all were read but these.
struct ImportReport {
  std::vector<IgnoredTensor> ignored;  ///< by name
};

}  // namespace linformer::inline LINFORMER_ABI
