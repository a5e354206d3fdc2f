#pragma once

#include "flags.hpp"

#include <benchmark/benchmark.h>

#include <cstdio>
#include <exception>
#include <filesystem>
#include <initializer_list>
#include <string_view>

namespace linformer::bench {

/// What the main function of a benchmark does around its measurements.
/// @param ours names of the flags that `measure` reads; what is left is Google Benchmark's, or an error
/// @param measure registers benchmarks and runs them
/// @return the program's exit status: 1 where an argument is wrong or a measurement throws, said on stderr
inline int run_program(int argc, char** argv, std::initializer_list<std::string_view> ours, void (*print_help)(),
                       void (*measure)(const Flags&)) {
  try {
    const Flags flags(argc, argv, ours);
    benchmark::Initialize(&argc, argv, print_help);
    if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
    measure(flags);
    benchmark::Shutdown();
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s: %s\n", std::filesystem::path(argv[0]).filename().c_str(), error.what());
    return 1;
  }
}

}  // namespace linformer::bench
