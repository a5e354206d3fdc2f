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
  /// @param done units that were done before, whose time is not known; @param quiet shows nothing at all
  Progress(std::string what, double total, std::string unit, double done = 0, bool quiet = false)
      : what_(std::move(what)),
        unit_(std::move(unit)),
        total_(total),
        before_(done),
        quiet_(quiet),
        terminal_(isatty(STDERR_FILENO) == 1) {}
  ~Progress() { clear(); }
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  /// Says how much is done, as often as one likes. @param note shown beside it, such as a loss
  void update(double done, const std::string& note = {}) {
    const auto now = Clock::now();
    const auto interval = terminal_ ? std::chrono::milliseconds(100) : std::chrono::milliseconds(5000);
    if (quiet_ || now - last_ < interval) return;
    last_ = now;
    shown_ = true;
    const double seconds = std::chrono::duration<double>(now - start_).count();
    const double rate = (done - before_) / std::max(seconds, 1e-9);
    const double share = done / total_;
    const std::string more = note.empty() ? "" : "  " + note;
    const std::string left = time_text((total_ - done) / std::max(rate, 1e-9)) + " left";
    if (terminal_) {
      constexpr int width = 30;
      const auto filled = static_cast<std::size_t>(share * width);
      const std::string bar = std::string(filled, '#') + std::string(width - std::min<std::size_t>(filled, width), '.');
      std::fprintf(stderr, "\r\033[K%s [%s] %3.0f %%%s  %.3g %s/s  %s", what_.c_str(), bar.c_str(), 100 * share,
                   more.c_str(), rate, unit_.c_str(), left.c_str());
    } else {
      std::fprintf(stderr, "%s: %.0f %%%s  %.3g %s/s  %s\n", what_.c_str(), 100 * share, more.c_str(), rate,
                   unit_.c_str(), left.c_str());
    }
    std::fflush(stderr);
  }

  /// Takes the bar away, so that a line can be printed in its place.
  void clear() {
    if (terminal_ && shown_) std::fprintf(stderr, "\r\033[K");
    shown_ = false;
  }

 private:
  using Clock = std::chrono::steady_clock;

  static std::string time_text(double seconds) {
    const auto whole = static_cast<long long>(std::min(seconds, 1e9));
    char text[48];
    if (whole < 3600) {
      std::snprintf(text, sizeof text, "%lld:%02lld", whole / 60, whole % 60);
    } else {
      std::snprintf(text, sizeof text, "%lld h %02lld min", whole / 3600, whole / 60 % 60);
    }
    return text;
  }

  std::string what_, unit_;
  double total_, before_;
  bool quiet_, terminal_, shown_ = false;
  Clock::time_point start_ = Clock::now(), last_ = start_;
};
