#pragma once

#include "processes.hpp"

#include <CLI/CLI.hpp>

#include <optional>

/// A program's main: processes, options, and errors in a line of stderr.
/// @param run the program, called as run(world); its exit status
template <class Run>
int run_in_processes(CLI::App& app, int argc, char** argv, const Run& run) {
  const Processes processes(argc, argv);
  ProgramWorld world = processes.world();
  std::optional<CLI::ParseError> error;
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& its) {
    error = its;
  }
  if (any_process(world, error.has_value())) {
    const bool first_tells = any_process(world, error && world.rank() == 0);
    if (!error) return 1;
    return world.rank() == 0 || !first_tells ? app.exit(*error) : error->get_exit_code();
  }
  return processes.run([&] { return run(processes.world()); });
}
