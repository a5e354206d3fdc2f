#pragma once

#include <linformer/mpi/requests.hpp>
#include <linformer/parallel/part.hpp>
#include <linformer/parallel/world.hpp>

#include <mpi.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <vector>

namespace linformer::inline LINFORMER_ABI {

/// The processes of an MPI communicator, between the environment's beginning and its end. Errors of MPI are the
/// communicator's affair, and end the program unless its error handler has been changed. Counts of MPI are int: more
/// values than that go in several calls.
class MpiWorld {
 public:
  /// This process alone, which needs no MPI.
  MpiWorld() = default;
  /// @param communicator stays the caller's, and outlives the world
  /// @param most_values of one call of MPI, 1 … 2^31 − 1
  explicit MpiWorld(MPI_Comm communicator, Index most_values = Index{1} << 28)
      : MpiWorld(std::make_shared<MPI_Comm>(communicator), most_values) {}

  [[nodiscard]] Index rank() const { return rank_; }
  [[nodiscard]] Index size() const { return size_; }

  template <Scalar T>
  void sum(std::span<T> values) {
    all_reduce(values, MPI_SUM);
  }
  template <Scalar T>
  void maximum(std::span<T> values) {
    all_reduce(values, MPI_MAX);
  }
  template <Scalar T>
  [[nodiscard]] MpiRequests start_sum(std::span<T> values) {
    MpiRequests requests;
    for_each_piece(values, [&](std::span<T> piece, Index) {
      MPI_Iallreduce(MPI_IN_PLACE, piece.data(), count(piece), type<T>(), MPI_SUM, *communicator_, &requests.add());
    });
    return requests;
  }
  template <Scalar T>
  void reduce_scatter(std::span<T> values) {
    for_each_piece(values, [&](std::span<T> piece, Index begin) {
      cut(values, begin, count(piece));
      MPI_Reduce_scatter(MPI_IN_PLACE, piece.data(), counts_.data(), type<T>(), MPI_SUM, *communicator_);
      // In place, MPI leaves this process's sums at the front.
      const auto mine = static_cast<std::size_t>(rank_);
      std::memmove(piece.data() + displacements_[mine], piece.data(),
                   static_cast<std::size_t>(counts_[mine]) * sizeof(T));
    });
  }
  template <Scalar T>
  void all_gather(std::span<T> values) {
    for_each_piece(values, [&](std::span<T> piece, Index begin) {
      cut(values, begin, count(piece));
      MPI_Allgatherv(MPI_IN_PLACE, 0, MPI_DATATYPE_NULL, piece.data(), counts_.data(), displacements_.data(), type<T>(),
                     *communicator_);
    });
  }
  [[nodiscard]] MpiWorld split(Index color, Index key) {
    if (communicator_ == nullptr) return *this;
    const std::shared_ptr<MPI_Comm> part(new MPI_Comm(MPI_COMM_NULL), [](MPI_Comm* communicator) {
      int finalized = 0;
      MPI_Finalized(&finalized);
      if (finalized == 0 && *communicator != MPI_COMM_NULL) MPI_Comm_free(communicator);
      delete communicator;
    });
    MPI_Comm_split(*communicator_, static_cast<int>(color), static_cast<int>(key), part.get());
    return MpiWorld(part, most_values_);
  }

 private:
  MpiWorld(std::shared_ptr<MPI_Comm> communicator, Index most_values)
      : communicator_(std::move(communicator)), most_values_(most_values) {
    int number = 0;
    MPI_Comm_rank(*communicator_, &number);
    rank_ = number;
    MPI_Comm_size(*communicator_, &number);
    size_ = number;
  }

  template <Scalar T>
  static MPI_Datatype type() {
    return std::same_as<T, float> ? MPI_FLOAT : MPI_DOUBLE;
  }
  template <Scalar T>
  static int count(std::span<T> piece) {
    return static_cast<int>(piece.size());
  }

  /// Calls each(piece, its beginning among the values) for what one call of MPI takes at a time.
  template <Scalar T, class Each>
  void for_each_piece(std::span<T> values, const Each& each) const {
    if (communicator_ == nullptr) return;
    const auto total = static_cast<Index>(values.size());
    for (Index begin = 0; begin < total; begin += most_values_) {
      each(values.subspan(static_cast<std::size_t>(begin),
                          static_cast<std::size_t>(std::min(most_values_, total - begin))),
           begin);
    }
  }

  template <Scalar T>
  void all_reduce(std::span<T> values, MPI_Op operation) {
    for_each_piece(values, [&](std::span<T> piece, Index) {
      MPI_Allreduce(MPI_IN_PLACE, piece.data(), count(piece), type<T>(), operation, *communicator_);
    });
  }

  /// What of a piece of the values lies in each process's part of them.
  template <Scalar T>
  void cut(std::span<T> values, Index begin, Index piece) {
    counts_.resize(static_cast<std::size_t>(size_));
    displacements_.resize(counts_.size());
    for (Index rank = 0; rank < size_; ++rank) {
      const Part part = part_of_rank(static_cast<Index>(values.size()), rank, size_);
      const Index first = std::clamp(part.begin - begin, Index{0}, piece);
      counts_[static_cast<std::size_t>(rank)] = static_cast<int>(std::clamp(part.end - begin, Index{0}, piece) - first);
      displacements_[static_cast<std::size_t>(rank)] = static_cast<int>(first);
    }
  }

  std::shared_ptr<MPI_Comm> communicator_;  ///< null: this process alone
  Index most_values_ = 0, rank_ = 0, size_ = 1;
  std::vector<int> counts_, displacements_;  // of one call of MPI
};

static_assert(World<MpiWorld>);

}  // namespace linformer::inline LINFORMER_ABI
