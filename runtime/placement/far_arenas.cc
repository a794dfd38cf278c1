#include "runtime/placement/far_arenas.h"

#include <algorithm>
#include <atomic>
#include <cstdio>

#include "runtime/base/units.h"
#include "runtime/placement/jemalloc.h"
#include "runtime/residency/far_memory.h"

namespace tiara::placement::far_arenas {
namespace {

// Far address space is plentiful and every map() costs a call: extents come in steps of at least 2 MiB, which is
// also how far jemalloc's own growth starts.
constexpr size_t kGrowth = 2 * kMiB;

// Freed pages go back to the node's pool after this long: sooner than jemalloc's usual 10 s, because a dirty page
// of no use would otherwise be written back when it is evicted.
constexpr ssize_t kDirtyDecayMs = 2000;

std::atomic<bool> frozen{false};
std::atomic<unsigned> next_thread{0};
unsigned arena_count = 0;
unsigned arenas[kMaxArenas];

void* alloc_extent(extent_hooks_t*, void* wanted, size_t size, size_t alignment, bool* zero, bool* commit,
                   unsigned) noexcept {
  if (wanted != nullptr || frozen.load(std::memory_order_relaxed)) return nullptr;
  std::byte* pages = FarMemory::instance()->map(size, std::max(alignment, size >= kGrowth ? kGrowth : kPageSize));
  if (pages == nullptr) return nullptr;
  *zero = true;
  *commit = true;
  return pages;
}

// "true" is jemalloc's word for "not done": the extent is retained and used again.
bool keep_extent(extent_hooks_t*, void*, size_t, bool, unsigned) noexcept { return true; }

bool purge_extent(extent_hooks_t*, void* extent, size_t, size_t offset, size_t length, unsigned) noexcept {
  if (frozen.load(std::memory_order_relaxed)) return true;
  FarMemory::instance()->discard({static_cast<std::byte*>(extent) + offset, length});
  return false;
}

bool split_extent(extent_hooks_t*, void*, size_t, size_t, size_t, bool, unsigned) noexcept { return false; }
bool merge_extents(extent_hooks_t*, void*, size_t, void*, size_t, bool, unsigned) noexcept { return false; }

extent_hooks_t hooks = {
    .alloc = alloc_extent,
    .dalloc = keep_extent,
    .destroy = nullptr,
    .commit = nullptr,
    .decommit = nullptr,
    .purge_lazy = nullptr,
    .purge_forced = purge_extent,
    .split = split_extent,
    .merge = merge_extents,
};

}  // namespace

bool create(unsigned count) noexcept {
  for (unsigned i = 0; i < std::min(count, kMaxArenas); ++i) {
    ArenaConfig config{&hooks, false};
    unsigned index = 0;
    size_t size = sizeof index;
    if (je_mallctl("experimental.arenas_create_ext", &index, &size, &config, sizeof config) != 0) return false;
    char name[48];
    ssize_t decay = kDirtyDecayMs;
    snprintf(name, sizeof name, "arena.%u.dirty_decay_ms", index);
    if (je_mallctl(name, nullptr, nullptr, &decay, sizeof decay) != 0) return false;
    decay = 0;
    snprintf(name, sizeof name, "arena.%u.muzzy_decay_ms", index);
    if (je_mallctl(name, nullptr, nullptr, &decay, sizeof decay) != 0) return false;
    arenas[arena_count++] = index;
  }
  return arena_count > 0;
}

unsigned assign() noexcept { return arenas[next_thread.fetch_add(1, std::memory_order_relaxed) % arena_count]; }

void freeze() noexcept { frozen.store(true, std::memory_order_relaxed); }

}  // namespace tiara::placement::far_arenas
