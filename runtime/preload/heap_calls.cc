// The allocation functions of the C library, and jemalloc's own extended ones, which programs that were linked with
// a jemalloc call beside them. operator new and delete of libstdc++ call malloc and free.
#include <bit>
#include <cerrno>
#include <cstdint>
#include <malloc.h>
#include <stdlib.h>
#include <unistd.h>

#include "runtime/base/units.h"
#include "runtime/placement/heap.h"
#include "runtime/preload/real.h"

namespace heap = tiara::placement::heap;
using tiara::kPageSize;

#define CALLER __builtin_return_address(0)

TIARA_INTERPOSE void* malloc(size_t size) { return heap::allocate(size, CALLER); }
TIARA_INTERPOSE void* calloc(size_t count, size_t size) { return heap::allocate_zeroed(count, size, CALLER); }
TIARA_INTERPOSE void* realloc(void* block, size_t size) { return heap::reallocate(block, size, CALLER); }
TIARA_INTERPOSE void free(void* block) { heap::release(block); }
TIARA_INTERPOSE void cfree(void* block) { heap::release(block); }
TIARA_INTERPOSE size_t malloc_usable_size(void* block) { return heap::usable_size(block); }

TIARA_INTERPOSE void* reallocarray(void* block, size_t count, size_t size) {
  size_t total = 0;
  if (!__builtin_mul_overflow(count, size, &total)) return heap::reallocate(block, total, CALLER);
  errno = ENOMEM;
  return nullptr;
}

TIARA_INTERPOSE int posix_memalign(void** block, size_t alignment, size_t size) {
  if (!std::has_single_bit(alignment) || alignment < sizeof(void*)) return EINVAL;
  const int saved = errno;
  void* made = heap::allocate_aligned(alignment, size, CALLER);
  errno = saved;
  if (made == nullptr) return ENOMEM;
  *block = made;
  return 0;
}

TIARA_INTERPOSE void* aligned_alloc(size_t alignment, size_t size) {
  if (std::has_single_bit(alignment)) return heap::allocate_aligned(alignment, size, CALLER);
  errno = EINVAL;
  return nullptr;
}

// As glibc has it: an odd alignment is rounded up.
TIARA_INTERPOSE void* memalign(size_t alignment, size_t size) {
  if (alignment <= SIZE_MAX / 2 + 1) return heap::allocate_aligned(std::bit_ceil(alignment), size, CALLER);
  errno = EINVAL;
  return nullptr;
}

TIARA_INTERPOSE void* valloc(size_t size) { return heap::allocate_aligned(kPageSize, size, CALLER); }
TIARA_INTERPOSE void* pvalloc(size_t size) {
  return heap::allocate_aligned(kPageSize, tiara::round_up(size, kPageSize), CALLER);
}

// --- jemalloc's extended interface: alignment and zeroing count; arenas and caches that the program names do not ---

namespace {

constexpr int kZeroFlag = 0x40;  // MALLOCX_ZERO
size_t alignment_of(int flags) noexcept { return size_t{1} << (flags & 63); }

void* extended_allocate(size_t size, int flags, const void* caller) noexcept {
  const size_t alignment = alignment_of(flags);
  if ((flags & kZeroFlag) == 0) return alignment > 1 ? heap::allocate_aligned(alignment, size, caller)
                                                     : heap::allocate(size, caller);
  if (alignment <= alignof(max_align_t)) return heap::allocate_zeroed(1, size, caller);
  void* block = heap::allocate_aligned(alignment, size, caller);
  if (block != nullptr) __builtin_memset(block, 0, size);
  return block;
}

}  // namespace

TIARA_INTERPOSE void* mallocx(size_t size, int flags) { return extended_allocate(size, flags, CALLER); }
TIARA_INTERPOSE size_t sallocx(const void* block, int) { return heap::usable_size(block); }
TIARA_INTERPOSE void dallocx(void* block, int) { heap::release(block); }
TIARA_INTERPOSE void sdallocx(void* block, size_t, int) { heap::release(block); }

TIARA_INTERPOSE void* rallocx(void* block, size_t size, int flags) {
  const size_t before = heap::usable_size(block);
  if (alignment_of(flags) <= alignof(max_align_t) && (flags & kZeroFlag) == 0)
    return heap::reallocate(block, size, CALLER);
  void* made = extended_allocate(size, flags, CALLER);
  if (made == nullptr) return nullptr;
  __builtin_memcpy(made, block, before < size ? before : size);
  heap::release(block);
  return made;
}

// "Resize in place": what already fits is granted, nothing more; jemalloc allows that answer.
TIARA_INTERPOSE size_t xallocx(void* block, size_t, size_t, int) { return heap::usable_size(block); }
