#include "runtime/preload/mappings.h"

#include <cerrno>
#include <cstdarg>
#include <cstring>
#include <mutex>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "runtime/base/units.h"
#include "runtime/os/memory.h"
#include "runtime/placement/heap.h"
#include "runtime/preload/address_ranges.h"
#include "runtime/preload/guard.h"
#include "runtime/preload/process.h"
#include "runtime/preload/real.h"
#include "runtime/residency/far_memory.h"

namespace tiara::preload {

TIARA_DEFINE_REAL(mmap);
TIARA_DEFINE_REAL(munmap);
TIARA_DEFINE_REAL(mremap);
TIARA_DEFINE_REAL(madvise);
TIARA_DEFINE_REAL(posix_madvise);
TIARA_DEFINE_REAL(mprotect);
TIARA_DEFINE_REAL(pkey_mprotect);
TIARA_DEFINE_REAL(mlock);
TIARA_DEFINE_REAL(mlock2);
TIARA_DEFINE_REAL(munlock);
TIARA_DEFINE_REAL(mlockall);
TIARA_DEFINE_REAL(mincore);

namespace {

using Range = AddressRanges::Range;

// Below this a mapping is a buffer or a guard, not a heap.
constexpr size_t kSmallestFarMapping = 64 * kKiB;

struct Registry {
  std::mutex mutex;
  AddressRanges live;     // far mappings that the program made and has not unmapped
  AddressRanges foreign;  // parts of the reservation where it has put something else (MAP_FIXED)
};
// Leaked: threads map and unmap until exit_group.
Registry& registry() noexcept {
  static Registry& instance = *new Registry;
  return instance;
}

Range range_of(const void* address, size_t length) noexcept {
  const auto begin = reinterpret_cast<uintptr_t>(address);
  return {begin, begin + round_up(length, kPageSize)};
}
std::span<std::byte> span_of(Range range) noexcept {
  return {reinterpret_cast<std::byte*>(range.begin), range.end - range.begin};
}

bool is_aligned(const void* address) noexcept { return reinterpret_cast<uintptr_t>(address) % kPageSize == 0; }

FarMemory* far_holding(const void* address) noexcept {
  FarMemory* far = FarMemory::instance();
  return far != nullptr && far->contains(address) ? far : nullptr;
}

int fail_with(int error) noexcept {
  errno = error;
  return -1;
}

bool is_private_anonymous(int flags) noexcept {
  return (flags & MAP_TYPE) == MAP_PRIVATE && (flags & MAP_ANONYMOUS) != 0;
}

bool is_eligible(size_t length, int protection, int flags) noexcept {
  constexpr int kWantsSomethingElse = MAP_FIXED | MAP_FIXED_NOREPLACE | MAP_STACK | MAP_GROWSDOWN | MAP_HUGETLB |
                                      MAP_LOCKED | MAP_32BIT;
  return is_private_anonymous(flags) && (flags & kWantsSomethingElse) == 0 && length >= kSmallestFarMapping &&
         (protection == (PROT_READ | PROT_WRITE) || protection == PROT_NONE);
}

// A PROT_NONE mapping is often a whole address space of an allocator's own: those that would eat up ours stay near.
bool is_modest(const FarMemory& far, size_t length, int protection) noexcept {
  return protection != PROT_NONE || length <= far.reservation().size() / 16;
}

void* map_far(FarMemory& far, size_t length, int protection) noexcept {
  length = round_up(length, kPageSize);
  std::byte* pages = far.map(length, kPageSize);
  if (pages == nullptr) {
    errno = ENOMEM;
    return MAP_FAILED;
  }
  if (protection == PROT_NONE) far.protect({pages, length}, PROT_NONE);
  Registry& all = registry();
  const std::lock_guard lock(all.mutex);
  all.live.insert(range_of(pages, length));
  return pages;
}

// Takes back what the program had mapped over far memory in `range`.
void reclaim(FarMemory& far, Registry& all, Range range) noexcept {
  for (const Range& part : all.foreign.overlaps(range)) far.reclaim_foreign(span_of(part));
  all.foreign.erase(range);
}

// mmap(MAP_FIXED) over far addresses.
void* map_over(FarMemory& far, void* address, size_t length, int protection, int flags, int fd, long offset) noexcept {
  if (!is_aligned(address)) {
    errno = EINVAL;
    return MAP_FAILED;
  }
  const Range range = range_of(address, length);
  Registry& all = registry();
  const std::lock_guard lock(all.mutex);
  // Allocators commit and decommit this way: it stays far, and reads zeros.
  const bool stays_far = is_private_anonymous(flags) && (flags & MAP_HUGETLB) == 0 &&
                         (protection & ~(PROT_READ | PROT_WRITE)) == 0 && all.live.covers(range);
  if (stays_far) {
    reclaim(far, all, range);
    far.discard(span_of(range));
    const int result = far.protect(span_of(range), protection);
    if (result == 0) return address;
    errno = -result;
    return MAP_FAILED;
  }
  for (const Range& part : all.foreign.gaps(range)) far.surrender(span_of(part));
  all.foreign.insert(range);
  return TIARA_REAL(mmap)(address, length, protection, flags, fd, offset);
}

int unmap(FarMemory& far, const void* address, size_t length) noexcept {
  if (!is_aligned(address) || length == 0) return fail_with(EINVAL);
  const Range range = range_of(address, length);
  Registry& all = registry();
  const std::lock_guard lock(all.mutex);
  reclaim(far, all, range);
  // Only what the program mapped: the heap's extents may lie next to it.
  for (const Range& part : all.live.overlaps(range)) far.unmap(span_of(part));
  all.live.erase(range);
  return 0;
}

// Calls `ours` for the far parts of the range and `theirs` for what the program has put over it; the first error
// (a negative errno) counts.
template <typename Ours, typename Theirs>
int split(const void* address, size_t length, Ours ours, Theirs theirs) noexcept {
  if (!is_aligned(address)) return fail_with(EINVAL);
  if (length == 0) return 0;
  const Range range = range_of(address, length);
  std::vector<Range> foreign, far;
  {
    Registry& all = registry();
    const std::lock_guard lock(all.mutex);
    foreign = all.foreign.overlaps(range);
    far = all.foreign.gaps(range);
  }
  int result = 0;
  for (const Range& part : far)
    if (const int partial = ours(span_of(part)); result == 0) result = partial;
  for (const Range& part : foreign)
    if (const int partial = theirs(span_of(part)); result == 0) result = partial;
  return result == 0 ? 0 : fail_with(-result);
}

int advise(FarMemory& far, void* address, size_t length, int advice) noexcept {
  switch (advice) {
    case MADV_DONTNEED:
    case MADV_FREE:  // may drop at once
      return split(address, length,
                   [&](std::span<std::byte> pages) {
                     far.discard(pages);
                     return 0;
                   },
                   [&](std::span<std::byte> pages) { return os::raw_madvise(pages.data(), pages.size(), advice); });
    // Hints, and wishes about huge pages, dumps and merging, which would split the reservation's mapping.
    case MADV_NORMAL:
    case MADV_RANDOM:
    case MADV_SEQUENTIAL:
    case MADV_WILLNEED:
    case MADV_DONTFORK:
    case MADV_DOFORK:
    case MADV_MERGEABLE:
    case MADV_UNMERGEABLE:
    case MADV_HUGEPAGE:
    case MADV_NOHUGEPAGE:
    case MADV_DONTDUMP:
    case MADV_DODUMP:
    case MADV_COLD:
    case MADV_PAGEOUT:
    case MADV_POPULATE_READ:
    case MADV_POPULATE_WRITE:
    case MADV_KEEPONFORK:
      return 0;
    default:  // advice is an open set of numbers. MADV_WIPEONFORK: programs that need it know that kernels may lack it
      return fail_with(EINVAL);
  }
}

// Far to anywhere: the contents are copied, then the old pages go.
void* move_far(FarMemory& far, void* old_address, size_t old_length, size_t new_length, int flags,
               void* new_address) noexcept {
  void* target = MAP_FAILED;
  if ((flags & MREMAP_FIXED) != 0) {
    target = map(new_address, new_length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0,
                 nullptr);
  } else {
    target = map_far(far, new_length, PROT_READ | PROT_WRITE);
  }
  if (target == MAP_FAILED) return MAP_FAILED;
  far.protect(span_of(range_of(old_address, old_length)), PROT_READ | PROT_WRITE);
  // Piece by piece: neither copy has to be resident as a whole.
  const size_t copied = std::min(old_length, new_length);
  for (size_t offset = 0; offset < copied; offset += kMiB) {
    const size_t piece = std::min<size_t>(kMiB, copied - offset);
    std::byte* from = static_cast<std::byte*>(old_address) + offset;
    memcpy(static_cast<std::byte*>(target) + offset, from, piece);
    far.discard({from, round_up(piece, kPageSize)});
  }
  if ((flags & MREMAP_DONTUNMAP) == 0) unmap(far, old_address, old_length);
  return target;
}

// mlock's own limit, which the kernel would have applied.
bool may_lock(size_t length) noexcept {
  rlimit limit{};
  return geteuid() == 0 || getrlimit(RLIMIT_MEMLOCK, &limit) != 0 || length <= limit.rlim_cur;
}

template <typename F>
int lock_far(const void* address, size_t length, F apply) noexcept {
  const auto begin = round_down(reinterpret_cast<uintptr_t>(address), kPageSize);
  const auto end = round_up(reinterpret_cast<uintptr_t>(address) + length, kPageSize);
  apply(std::span<std::byte>{reinterpret_cast<std::byte*>(begin), end - begin});
  return 0;
}

}  // namespace

void lock_mappings() noexcept { registry().mutex.lock(); }
void unlock_mappings() noexcept { registry().mutex.unlock(); }

void* map(void* address, unsigned long length, int protection, int flags, int fd, long offset,
          const void* caller) noexcept {
  if ((flags & MAP_FIXED) != 0) {
    FarMemory* far = far_holding(address);
    if (far != nullptr && length != 0) [[unlikely]]
      return map_over(*far, address, length, protection, flags, fd, offset);
    return TIARA_REAL(mmap)(address, length, protection, flags, fd, offset);
  }
  if (is_eligible(length, protection, flags) && !placement::heap::mapping_stays_near(length, caller)) {
    if (protection != PROT_NONE) placement::heap::note_near_mapping(static_cast<ptrdiff_t>(length));
    if (placement::heap::phase() == placement::heap::Phase::kFar) {
      FarMemory& far = *FarMemory::instance();
      if (is_modest(far, length, protection)) return map_far(far, length, protection);
    }
  }
  return TIARA_REAL(mmap)(address, length, protection, flags, fd, offset);
}

void* remap(void* old_address, unsigned long old_length, unsigned long new_length, int flags,
            void* new_address) noexcept {
  FarMemory* far = far_holding(old_address);
  if (far == nullptr) {
    if ((flags & MREMAP_FIXED) != 0) {
      if (FarMemory* target = far_holding(new_address); target != nullptr) {
        Registry& all = registry();
        const std::lock_guard lock(all.mutex);
        const Range range = range_of(new_address, new_length);
        for (const Range& part : all.foreign.gaps(range)) target->surrender(span_of(part));
        all.foreign.insert(range);
      }
    }
    return TIARA_REAL(mremap)(old_address, old_length, new_length, flags, new_address);
  }
  if (!is_aligned(old_address) || old_length == 0 || new_length == 0 ||
      (flags & ~(MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP)) != 0) {
    errno = EINVAL;
    return MAP_FAILED;
  }
  old_length = round_up(old_length, kPageSize);
  new_length = round_up(new_length, kPageSize);
  const bool must_move = (flags & (MREMAP_FIXED | MREMAP_DONTUNMAP)) != 0;
  if (!must_move && new_length <= old_length) {
    if (new_length < old_length)
      unmap(*far, static_cast<std::byte*>(old_address) + new_length, old_length - new_length);
    return old_address;
  }
  if ((flags & MREMAP_MAYMOVE) == 0) {
    errno = ENOMEM;
    return MAP_FAILED;
  }
  return move_far(*far, old_address, old_length, new_length, flags, new_address);
}

}  // namespace tiara::preload

using namespace tiara::preload;
using tiara::FarMemory;

TIARA_INTERPOSE void* mmap(void* address, size_t length, int protection, int flags, int fd, off_t offset) noexcept {
  return map(address, length, protection, flags, fd, offset, __builtin_return_address(0));
}
TIARA_INTERPOSE void* mmap64(void* address, size_t length, int protection, int flags, int fd,
                             off64_t offset) noexcept {
  return map(address, length, protection, flags, fd, offset, __builtin_return_address(0));
}

TIARA_INTERPOSE int munmap(void* address, size_t length) noexcept {
  if (FarMemory* far = far_holding(address); far != nullptr) return unmap(*far, address, length);
  if (length >= kSmallestFarMapping && FarMemory::instance() == nullptr)
    tiara::placement::heap::note_near_mapping(-static_cast<ptrdiff_t>(length));
  return TIARA_REAL(munmap)(address, length);
}

TIARA_INTERPOSE void* mremap(void* old_address, size_t old_length, size_t new_length, int flags, ...) noexcept {
  void* new_address = nullptr;
  if ((flags & (MREMAP_FIXED | MREMAP_DONTUNMAP)) != 0) {
    va_list list;
    va_start(list, flags);
    new_address = va_arg(list, void*);
    va_end(list);
  }
  return remap(old_address, old_length, new_length, flags, new_address);
}

TIARA_INTERPOSE int madvise(void* address, size_t length, int advice) noexcept {
  if (FarMemory* far = far_holding(address); far != nullptr) return advise(*far, address, length, advice);
  return TIARA_REAL(madvise)(address, length, advice);
}

TIARA_INTERPOSE int posix_madvise(void* address, size_t length, int advice) noexcept {
  if (far_holding(address) != nullptr) return 0;  // hints all of them: POSIX_MADV_DONTNEED drops nothing either
  return TIARA_REAL(posix_madvise)(address, length, advice);
}

TIARA_INTERPOSE int mprotect(void* address, size_t length, int protection) noexcept {
  FarMemory* far = far_holding(address);
  if (far == nullptr) [[likely]] return TIARA_REAL(mprotect)(address, length, protection);
  return split(address, length, [&](std::span<std::byte> pages) { return far->protect(pages, protection); },
               [&](std::span<std::byte> pages) {
                 return tiara::os::raw_mprotect(pages.data(), pages.size(), protection);
               });
}

TIARA_INTERPOSE int pkey_mprotect(void* address, size_t length, int protection, int key) noexcept {
  if (far_holding(address) == nullptr) return TIARA_REAL(pkey_mprotect)(address, length, protection, key);
  return key == -1 ? mprotect(address, length, protection) : fail_with(EINVAL);
}

TIARA_INTERPOSE int mlock(const void* address, size_t length) noexcept {
  FarMemory* far = far_holding(address);
  if (far == nullptr) return TIARA_REAL(mlock)(address, length);
  if (!may_lock(length)) return fail_with(ENOMEM);
  return lock_far(address, length, [far](std::span<std::byte> pages) { far->make_near(pages); });
}

TIARA_INTERPOSE int mlock2(const void* address, size_t length, unsigned flags) noexcept {
  if (far_holding(address) == nullptr) return TIARA_REAL(mlock2)(address, length, flags);
  return mlock(address, length);
}

TIARA_INTERPOSE int munlock(const void* address, size_t length) noexcept {
  FarMemory* far = far_holding(address);
  if (far == nullptr) return TIARA_REAL(munlock)(address, length);
  return lock_far(address, length, [far](std::span<std::byte> pages) { far->release_near(pages); });
}

// "All of it, for ever, here" is the opposite of what the user asked of us. ENOMEM is what a limit gives.
TIARA_INTERPOSE int mlockall(int flags) noexcept {
  return active_config() == nullptr ? TIARA_REAL(mlockall)(flags) : fail_with(ENOMEM);
}

TIARA_INTERPOSE int mincore(void* address, size_t length, unsigned char* residency) noexcept {
  Guards guards;
  guards.bytes(residency, (length + tiara::kPageSize - 1) / tiara::kPageSize);
  return TIARA_REAL(mincore)(address, length, residency);
}
