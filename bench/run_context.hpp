#pragma once

#include <linformer/core/version.hpp>
#include <linformer/kernels/isa.hpp>

#include <benchmark/benchmark.h>
#include <Eigen/Core>

#include <fstream>
#include <string>

namespace linformer::bench {

[[nodiscard]] inline std::string processor() {
  std::ifstream info("/proc/cpuinfo");
  for (std::string line; std::getline(info, line);) {
    if (line.starts_with("model name")) return line.substr(line.find(':') + 2);
  }
  return "unknown";
}

/// Writes into a benchmark's output what its figures depend on beside its arguments.
inline void describe_machine() {
  const auto version = [](int major, int minor, int patch) {
    return std::to_string(major) + "." + std::to_string(minor) + "." + std::to_string(patch);
  };
  using benchmark::AddCustomContext;
  AddCustomContext("cpu", processor());
#if defined(__clang__) || !defined(__GNUC__)
  AddCustomContext("compiler", __VERSION__);
#else
  AddCustomContext("compiler", std::string("GCC ") + __VERSION__);
#endif
  AddCustomContext("instruction_sets", Eigen::SimdInstructionSetsInUse());
#ifdef NDEBUG
  AddCustomContext("assertions", "off");
#else
  AddCustomContext("assertions", "on: build with -DNDEBUG to measure");
#endif
  AddCustomContext("eigen", version(EIGEN_WORLD_VERSION, EIGEN_MAJOR_VERSION, EIGEN_MINOR_VERSION));
  AddCustomContext("linformer", version(linformer::version_major, linformer::version_minor, linformer::version_patch));
  AddCustomContext("isa", std::string(name_of(default_isa())));
}

}  // namespace linformer::bench
