#pragma once

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <string>

/// Progress of long work on stderr: a bar with rate and time left on a terminal, plain lines now and then when piped.
class Progress {
 public:
  /// @param what shown in front, @param total units of work, @param unit their name
  Progress(std::string what, double total, std::string unit)
      : what_(std::move(what)), unit_(std::move(unit)), total_(total), terminal_(isatty(STDERR_FILENO) == 1) {}
  ~Progress() {
    if (terminal_ && shown_) std::fprintf(stderr, "\r\033[K");
  }
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  /// Says how much is done, as often as one likes.
  void update(double done) {
    const auto now = Clock::now();
    const auto interval = terminal_ ? std::chrono::milliseconds(100) : std::chrono::milliseconds(5000);
    if (now - last_ < interval) return;
    last_ = now;
    shown_ = true;
    const double seconds = std::chrono::duration<double>(now - start_).count();
    const double rate = done / std::max(seconds, 1e-9);
    const double share = done / total_;
    const int left = static_cast<int>((total_ - done) / std::max(rate, 1e-9));
    if (terminal_) {
      constexpr int width = 30;
      const auto filled = static_cast<std::size_t>(share * width);
      const std::string bar = std::string(filled, '#') + std::string(width - std::min<std::size_t>(filled, width), '.');
      std::fprintf(stderr, "\r\033[K%s [%s] %3.0f %%  %.0f %s/s  %d:%02d left", what_.c_str(), bar.c_str(), 100 * share,
                   rate, unit_.c_str(), left / 60, left % 60);
    } else {
      std::fprintf(stderr, "%s: %.0f %%, %.0f %s/s, %d s left\n", what_.c_str(), 100 * share, rate, unit_.c_str(),
                   left);
    }
    std::fflush(stderr);
  }

 private:
  using Clock = std::chrono::steady_clock;

  std::string what_, unit_;
  double total_;
  bool terminal_, shown_ = false;
  Clock::time_point start_ = Clock::now(), last_ = start_;
};
