#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstdlib>

// Measures the memory that a call allocates, by standing between the program and glibc's allocator. This header defines
// malloc and its kin: include it in exactly one source file of a program. On other platforms, and under sanitizers,
// which have allocators of their own, it counts nothing and `AllocationMeter::available` says so.

#if defined(__GLIBC__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define LINFORMER_BENCH_ALLOCATIONS
#endif
#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#undef LINFORMER_BENCH_ALLOCATIONS
#endif
#endif

namespace linformer::bench {

namespace detail {

/// Heap memory of the program.
struct HeapCounters {
  std::atomic<std::int64_t> live{0};  ///< bytes now
  std::atomic<std::int64_t> peak{0};  ///< most bytes since the peak was last set
  std::atomic<std::int64_t> allocations{0};
};
inline constinit HeapCounters heap;

}  // namespace detail

/// What the program allocates while it is watched, by all threads. One meter at a time: a second one starts anew.
class AllocationMeter {
 public:
#ifdef LINFORMER_BENCH_ALLOCATIONS
  static constexpr bool available = true;
#else
  static constexpr bool available = false;
#endif

  AllocationMeter() : live_(detail::heap.live), allocations_(detail::heap.allocations) { detail::heap.peak = live_; }

  /// Most bytes held at a time above those held when the meter was made, each block as large as the allocator made it.
  [[nodiscard]] std::size_t peak_bytes() const { return static_cast<std::size_t>(detail::heap.peak - live_); }
  /// Blocks allocated since the meter was made; growing one in place counts.
  [[nodiscard]] std::size_t allocations() const {
    return static_cast<std::size_t>(detail::heap.allocations - allocations_);
  }

 private:
  std::int64_t live_, allocations_;
};

}  // namespace linformer::bench

#ifdef LINFORMER_BENCH_ALLOCATIONS

#include <malloc.h>
#include <unistd.h>

#include <cerrno>
#if __has_include(<mm_malloc.h>)
#include <mm_malloc.h>  // Clang's declares posix_memalign without noexcept, an error after the definition below
#endif

namespace linformer::bench::detail {

inline void* counted(void* memory) noexcept {
  if (memory == nullptr) return memory;
  const auto bytes = static_cast<std::int64_t>(malloc_usable_size(memory));
  const std::int64_t live = heap.live.fetch_add(bytes, std::memory_order_relaxed) + bytes;
  heap.allocations.fetch_add(1, std::memory_order_relaxed);
  std::int64_t peak = heap.peak.load(std::memory_order_relaxed);
  while (live > peak && !heap.peak.compare_exchange_weak(peak, live, std::memory_order_relaxed)) {
  }
  return memory;
}

inline void discounted(std::size_t bytes) noexcept {
  heap.live.fetch_sub(static_cast<std::int64_t>(bytes), std::memory_order_relaxed);
}

}  // namespace linformer::bench::detail

// operator new, new[] and their aligned forms come here too, through malloc and aligned_alloc.
extern "C" {

// NOLINTBEGIN(bugprone-reserved-identifier): the names under which glibc exports its own allocator
void* __libc_malloc(std::size_t);
void* __libc_calloc(std::size_t, std::size_t);
void* __libc_realloc(void*, std::size_t);
void* __libc_memalign(std::size_t, std::size_t);
void __libc_free(void*);
// NOLINTEND(bugprone-reserved-identifier)

void* malloc(std::size_t size) noexcept { return linformer::bench::detail::counted(__libc_malloc(size)); }

void* calloc(std::size_t count, std::size_t size) noexcept {
  return linformer::bench::detail::counted(__libc_calloc(count, size));
}

void* realloc(void* old, std::size_t size) noexcept {
  const std::size_t before = malloc_usable_size(old);
  void* memory = __libc_realloc(old, size);
  if (memory != nullptr || size == 0) linformer::bench::detail::discounted(before);
  return linformer::bench::detail::counted(memory);
}

void free(void* memory) noexcept {
  linformer::bench::detail::discounted(malloc_usable_size(memory));
  __libc_free(memory);
}

void* memalign(std::size_t alignment, std::size_t size) noexcept {
  return linformer::bench::detail::counted(__libc_memalign(alignment, size));
}

void* aligned_alloc(std::size_t alignment, std::size_t size) noexcept { return memalign(alignment, size); }

int posix_memalign(void** out, std::size_t alignment, std::size_t size) noexcept {
  if (alignment < sizeof(void*) || (alignment & (alignment - 1)) != 0) return EINVAL;
  void* memory = memalign(alignment, size);
  if (memory == nullptr) return ENOMEM;
  *out = memory;
  return 0;
}

void* valloc(std::size_t size) noexcept { return memalign(static_cast<std::size_t>(getpagesize()), size); }

void* pvalloc(std::size_t size) noexcept {
  const auto page = static_cast<std::size_t>(getpagesize());
  return valloc((size + page - 1) / page * page);
}

}  // extern "C"

#endif  // LINFORMER_BENCH_ALLOCATIONS
