#include "allocation/heap.hpp"

#if LINFORMER_TEST_HEAP

#include <cerrno>

extern "C" {
void* malloc(std::size_t size) noexcept {
  if (!heap::fails()) return heap::counted(__libc_malloc(size));
  errno = ENOMEM;
  return nullptr;
}
void* calloc(std::size_t count, std::size_t size) noexcept {
  std::size_t bytes = 0;
  if (__builtin_mul_overflow(count, size, &bytes) || heap::fails()) {
    errno = ENOMEM;
    return nullptr;
  }
  void* memory = heap::counted(__libc_malloc(bytes));
  return memory == nullptr ? nullptr : std::memset(memory, 0, bytes);
}
void* memalign(std::size_t alignment, std::size_t size) noexcept {
  if (!heap::fails()) return heap::counted(__libc_memalign(alignment, size));
  errno = ENOMEM;
  return nullptr;
}
void* aligned_alloc(std::size_t alignment, std::size_t size) noexcept { return memalign(alignment, size); }
int posix_memalign(void** memory, std::size_t alignment, std::size_t size) noexcept {
  *memory = memalign(alignment, size);
  return *memory == nullptr ? ENOMEM : 0;
}
void free(void* memory) noexcept { heap::release(memory); }
void* realloc(void* memory, std::size_t size) noexcept {
  if (memory == nullptr) return malloc(size);
  void* larger = malloc(size);
  if (larger == nullptr) return nullptr;
  const std::size_t old_size = malloc_usable_size(memory);
  std::memcpy(larger, memory, old_size < size ? old_size : size);
  free(memory);
  return larger;
}
}

#endif
