#pragma once

#include <linformer/core/abi.hpp>

#include <mpi.h>

#include <utility>
#include <vector>

namespace linformer::inline LINFORMER_ABI {

/// What has been started and is waited for, at the latest on destruction: until then MPI writes to the values.
class MpiRequests {
 public:
  MpiRequests() = default;
  MpiRequests(MpiRequests&& other) noexcept : requests_(std::exchange(other.requests_, {})) {}
  MpiRequests& operator=(MpiRequests&& other) noexcept {
    std::swap(requests_, other.requests_);
    other.wait();
    return *this;
  }
  MpiRequests(const MpiRequests&) = delete;
  MpiRequests& operator=(const MpiRequests&) = delete;
  ~MpiRequests() { wait(); }

  /// One more, for MPI to fill in.
  [[nodiscard]] MPI_Request& add() { return requests_.emplace_back(MPI_REQUEST_NULL); }

  /// Whether all has been done, without waiting for it.
  [[nodiscard]] bool ready() noexcept {
    if (requests_.empty()) return true;  // of a process alone, without MPI
    int done = 0;
    MPI_Testall(static_cast<int>(requests_.size()), requests_.data(), &done, MPI_STATUSES_IGNORE);
    return done != 0;
  }

  void wait() noexcept {
    if (requests_.empty()) return;
    MPI_Waitall(static_cast<int>(requests_.size()), requests_.data(), MPI_STATUSES_IGNORE);
    requests_.clear();
  }

 private:
  std::vector<MPI_Request> requests_;
};

}  // namespace linformer::inline LINFORMER_ABI
