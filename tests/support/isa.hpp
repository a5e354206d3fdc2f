#pragma once

#include <linformer/kernels/isa.hpp>

#include <vector>

/// The instruction sets that this machine runs: what is shown for one must hold for each.
inline std::vector<linformer::Isa> supported_isas() {
  std::vector<linformer::Isa> result;
  for (const auto& [name, isa] : linformer::isa_names) {
    if (linformer::is_supported(isa)) result.push_back(isa);
  }
  return result;
}
