#pragma once

// An allocator in front of glibc's, for the whole program: it counts allocations and makes them fail. It is not there
// (LINFORMER_TEST_HEAP is 0) under a sanitizer, which does the same, and with another C library.

#include <atomic>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <utility>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define LINFORMER_TEST_HEAP 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define LINFORMER_TEST_HEAP 0
#endif
#endif
#if !defined(LINFORMER_TEST_HEAP) && defined(__GLIBC__)
#define LINFORMER_TEST_HEAP 1
#elif !defined(LINFORMER_TEST_HEAP)
#define LINFORMER_TEST_HEAP 0
#endif

#if LINFORMER_TEST_HEAP

#include <malloc.h>

extern "C" {
void* __libc_malloc(std::size_t size);                           // NOLINT(bugprone-reserved-identifier)
void* __libc_memalign(std::size_t alignment, std::size_t size);  // NOLINT(bugprone-reserved-identifier)
void __libc_free(void* memory);                                  // NOLINT(bugprone-reserved-identifier)
}

/// The allocator between glibc's and the program.
namespace heap {

inline std::atomic<long> until_failure{0};  ///< allocations until one fails; 0 for none
inline std::atomic<bool> from_then_on{false};
inline std::atomic<long> allocations{0}, failures{0}, live{0}, double_frees{0};
inline std::atomic<bool> quarantining{false};

/// Whether the allocation that is asked for fails.
inline bool fails() {
  ++allocations;
  long left = until_failure.load();
  while (left > 0) {
    const bool last = left == 1;
    if (until_failure.compare_exchange_weak(left, last && from_then_on ? 1 : left - 1)) {
      failures += last ? 1 : 0;
      return last;
    }
  }
  return false;
}

inline void* counted(void* memory) {
  if (memory != nullptr) ++live;
  return memory;
}

/// Freed blocks are held back, filled with bytes that make numbers NaN: what is freed twice or read afterwards shows.
struct Quarantine {
  static constexpr std::size_t places = std::size_t{1} << 16;
  std::atomic_flag busy = ATOMIC_FLAG_INIT;
  void* blocks[places] = {};
  std::size_t count = 0;

  /// False if the block was freed before. @param full whether there was no place for it
  bool add(void* memory, bool& full) {
    while (busy.test_and_set(std::memory_order_acquire)) {
    }
    std::size_t place = (reinterpret_cast<std::size_t>(memory) >> 4) * 0x9E3779B97F4A7C15 >> 48;
    while (blocks[place] != nullptr && blocks[place] != memory) place = (place + 1) % places;
    const bool fresh = blocks[place] == nullptr;
    full = count > places / 2;
    if (fresh && !full) {
      std::memset(memory, 0xFF, malloc_usable_size(memory));
      blocks[place] = memory;
      ++count;
    }
    busy.clear(std::memory_order_release);
    return fresh;
  }

  void release() {
    for (void*& block : blocks) __libc_free(std::exchange(block, nullptr));
    count = 0;
  }
};
inline Quarantine quarantine;

inline void release(void* memory) {
  if (memory == nullptr) return;
  if (quarantining) {
    bool full = false;
    if (!quarantine.add(memory, full)) {
      ++double_frees;
      return;
    }
    --live;
    if (full) __libc_free(memory);
    return;
  }
  --live;
  __libc_free(memory);
}

}  // namespace heap

#endif
