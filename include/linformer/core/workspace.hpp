#pragma once

#include <linformer/core/matrix.hpp>

#include <algorithm>
#include <any>
#include <cstddef>
#include <memory>
#include <new>
#include <vector>

namespace linformer::inline LINFORMER_ABI {

/// A row-major matrix in scratch memory: every row starts on a 64-byte boundary, so that reductions over a row sum in
/// the same order wherever the memory lies.
template <Scalar T>
using ScratchMatrix = Eigen::Map<Matrix<T>, Eigen::Aligned16, Eigen::OuterStride<>>;

namespace detail {

/// Columns to allocate for rows of `cols` so that rows start 64 bytes apart or a multiple of it, but no multiple of 1
/// KiB: such rows would compete for the same few sets of the caches.
template <Scalar T>
[[nodiscard]] constexpr Index padded_columns(Index cols) {
  constexpr auto line = static_cast<Index>(64 / sizeof(T));
  const Index padded = (cols + line - 1) / line * line;
  return padded > 0 && padded % (16 * line) == 0 ? padded + line : padded;
}

/// A matrix that keeps its rows apart as scratch memory's are, a plain value. Its memory grows and does not shrink.
template <Scalar T>
class PaddedMatrix {
 public:
  using Block = Eigen::Map<Matrix<T>, 0, Eigen::OuterStride<>>;
  using ConstBlock = Eigen::Map<const Matrix<T>, 0, Eigen::OuterStride<>>;

  /// Contents are not determined.
  void resize(Index rows, Index cols) {
    const Index size = checked_size("matrix", {rows, padded_columns<T>(cols)});
    if (size > storage_.size()) detail::resize(storage_, size, 1);
    rows_ = rows;
    cols_ = cols;
  }
  [[nodiscard]] Index rows() const { return rows_; }
  [[nodiscard]] Index cols() const { return cols_; }
  [[nodiscard]] ConstBlock block() const { return {storage_.data(), rows_, cols_, stride()}; }
  [[nodiscard]] Block block() { return {storage_.data(), rows_, cols_, stride()}; }

 private:
  [[nodiscard]] Eigen::OuterStride<> stride() const { return Eigen::OuterStride<>(padded_columns<T>(cols_)); }

  Vector<T> storage_;
  Index rows_ = 0, cols_ = 0;
};

}  // namespace detail

/// Scratch memory that a caller keeps between calls, so that calls need not allocate. It grows to what the largest call
/// needs. One workspace serves one call at a time.
class Workspace {
 public:
  /// Alignment of all scratch memory in bytes, the same under every compiler flag.
  static constexpr std::size_t alignment = 64;

  Workspace() = default;

  /// Reserves `bytes` at once. @throws std::bad_alloc
  explicit Workspace(std::size_t bytes) { grow(bytes); }

  /// Bytes of scratch held, those of the workers among them, kept objects aside.
  [[nodiscard]] std::size_t capacity() const noexcept {
    std::size_t bytes = own_capacity();
    for (const auto& worker : workers_) bytes += worker->capacity();
    return bytes;
  }

  /// Makes room for `count` workers, each with scratch memory of its own.
  void reserve_workers(Index count) {
    while (static_cast<Index>(workers_.size()) < count) workers_.push_back(std::make_unique<Workspace>());
  }
  /// Gives every worker as much memory as the one that has most, so that it does not matter which takes what next time.
  /// @param count the first workers, those that may get a task
  void level_workers(Index count) noexcept {
    const auto those = std::min(static_cast<std::size_t>(count), workers_.size());
    std::size_t most = 0;
    for (std::size_t i = 0; i < those; ++i) most = std::max(most, workers_[i]->own_capacity());
    for (std::size_t i = 0; i < those; ++i) {
      if (workers_[i]->own_capacity() < most) workers_[i]->replace_blocks(most);
    }
  }
  /// Scratch memory of a worker below the count reserved.
  [[nodiscard]] Workspace& worker(Index index) { return *workers_[static_cast<std::size_t>(index)]; }

  /// Gives what is taken during its life back to the workspace.
  class Scope {
   public:
    explicit Scope(Workspace& workspace) : workspace_(workspace), block_(workspace.block_), used_(workspace.used_) {}
    ~Scope() { workspace_.release(block_, used_); }
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;

   private:
    Workspace& workspace_;
    std::size_t block_, used_;
  };

  /// Uninitialised rows × cols scratch, valid until the enclosing `Scope` ends.
  /// @throws std::bad_alloc or Error size_overflow; the workspace stays usable.
  template <Scalar T>
  [[nodiscard]] ScratchMatrix<T> matrix(Index rows, Index cols) {
    detail::checked_size("workspace", {rows, cols});
    const Index stride = detail::padded_columns<T>(cols);
    const Index size = detail::checked_size("workspace", {rows, stride});
    auto* data = static_cast<T*>(take(static_cast<std::size_t>(size) * sizeof(T)));
    return ScratchMatrix<T>(data, rows, cols, Eigen::OuterStride<>(stride));
  }

  /// An object of type `Object` that stays in the workspace between calls, as the last call left it: what it has
  /// allocated is used again.
  template <class Object>
  [[nodiscard]] Object& kept() {
    for (const std::unique_ptr<std::any>& object : kept_) {
      if (auto* found = std::any_cast<Object>(object.get())) return *found;
    }
    kept_.push_back(std::make_unique<std::any>(std::in_place_type<Object>));
    return *std::any_cast<Object>(kept_.back().get());
  }

 private:
  struct Free {
    void operator()(void* memory) const noexcept { ::operator delete (memory, std::align_val_t{alignment}); }
  };
  struct Block {
    std::unique_ptr<void, Free> memory;
    std::size_t size = 0;
  };

  [[nodiscard]] std::size_t own_capacity() const noexcept {
    std::size_t bytes = 0;
    for (const Block& block : blocks_) bytes += block.size;
    return bytes;
  }

  void* take(std::size_t bytes) {
    bytes = (bytes + alignment - 1) / alignment * alignment;
    while (block_ < blocks_.size() && used_ + bytes > blocks_[block_].size) {
      ++block_;
      used_ = 0;
    }
    if (block_ == blocks_.size()) grow(bytes);
    void* memory = static_cast<std::byte*>(blocks_[block_].memory.get()) + used_;
    used_ += bytes;
    return memory;
  }

  void grow(std::size_t bytes) {
    blocks_.reserve(blocks_.size() + 1);
    blocks_.push_back({std::unique_ptr<void, Free>(::operator new (bytes, std::align_val_t{alignment})), bytes});
  }

  /// When the outermost scope ends, several blocks become one, so that the next call of this shape finds room at once.
  void release(std::size_t block, std::size_t used) noexcept {
    block_ = block;
    used_ = used;
    if (block != 0 || used != 0 || blocks_.size() < 2) return;
    replace_blocks(own_capacity());
  }

  /// One block instead of all, of which none may be in use.
  void replace_blocks(std::size_t bytes) noexcept {
    blocks_.erase(blocks_.begin(), blocks_.end());
    try {
      grow(bytes);
    } catch (const std::bad_alloc&) {
      blocks_.clear();  // an empty workspace is valid: the next call grows it again
    }
  }

  std::vector<std::unique_ptr<Workspace>> workers_;
  std::vector<std::unique_ptr<std::any>> kept_;
  std::vector<Block> blocks_;
  std::size_t block_ = 0, used_ = 0;
};

}  // namespace linformer::inline LINFORMER_ABI
