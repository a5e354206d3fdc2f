#pragma once

#include <chrono>
#include <cstddef>
#include <filesystem>
#include <iterator>
#include <optional>
#include <system_error>
#include <thread>

/// Threads of this process, where the system lists them (Linux).
inline std::optional<std::size_t> thread_count() {
  std::error_code error;
  const std::filesystem::directory_iterator tasks("/proc/self/task", error);
  if (error) return std::nullopt;
  return static_cast<std::size_t>(std::distance(begin(tasks), end(tasks)));
}

/// Whether the process comes to have `expected` threads: a joined thread may stay listed for a moment.
inline bool thread_count_becomes(std::optional<std::size_t> expected) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (thread_count() != expected) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return true;
}
