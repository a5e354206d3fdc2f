#pragma once

#include <linformer/core/abi.hpp>

namespace linformer::inline LINFORMER_ABI {

/// Version of the library, the only place where it is written: CMake reads it from here.
inline constexpr int version_major = 0;
inline constexpr int version_minor = 1;
inline constexpr int version_patch = 0;

}  // namespace linformer::inline LINFORMER_ABI
