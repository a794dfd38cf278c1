// The page walk in plain C++: what the operators of this folder do, said a second time. The checker
// walks with it, the RPC baseline serves it, and tests hold the operators against it. It trusts
// nothing: an entry that points outside the pool ends the walk instead of leaving memory.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

#include "nic/node/pool_layout.h"
#include "runtime/base/units.h"

namespace tiara::pagetable {

// One word of a pool that other threads may be changing. acquire: pairs with the compare-and-swap
// (or store) that published the entry, so that what the entry points to is seen as it was when it
// was published.
inline uint64_t load_word(std::span<const std::byte> pool, uint64_t offset) noexcept {
  auto* word = reinterpret_cast<uint64_t*>(const_cast<std::byte*>(pool.data()) + offset);
  return std::atomic_ref<uint64_t>(*word).load(std::memory_order_acquire);
}

// Whether a whole frame lies at pool offset `offset`.
inline bool is_frame_inside(std::span<const std::byte> pool, uint64_t offset) noexcept {
  return pool.size() >= kPageSize && offset <= pool.size() - kPageSize;
}

enum class WalkEnd : uint8_t { kPresent, kAbsent, kPageRange, kCorrupt };

struct WalkResult {
  WalkEnd end = WalkEnd::kAbsent;
  uint64_t leaf_table = 0;  // pool offset of the leaf table; 0 when there is none
  uint64_t entry = 0;  // the leaf entry: flags and pool offset of the page's frame; 0 when absent
};

// Walks the table of `space` for one page. Safe beside operators that run on the same pool.
inline WalkResult walk(std::span<const std::byte> pool, const nic::pool::SpaceDescriptor& space,
                       PageNumber page) noexcept {
  namespace layout = nic::pool;
  if (page.value >= space.max_pages) return {WalkEnd::kPageRange};
  auto* root_word = const_cast<uint64_t*>(&space.root);
  uint64_t entry = std::atomic_ref<uint64_t>(*root_word).load(std::memory_order_acquire);
  WalkResult result;
  for (auto level = static_cast<uint32_t>(space.levels); level > 0; --level) {
    if (entry == 0) return result;
    const uint64_t table = entry & ~layout::kEntryFlagsMask;
    if (!is_frame_inside(pool, table)) return {WalkEnd::kCorrupt};
    if (level == 1) result.leaf_table = table;
    entry = load_word(pool, table + layout::entry_index(page.value, level) * sizeof(uint64_t));
  }
  if (entry == 0) return result;
  if (!is_frame_inside(pool, entry & ~layout::kEntryFlagsMask)) return {WalkEnd::kCorrupt};
  result.end = WalkEnd::kPresent;
  result.entry = entry;
  return result;
}

}  // namespace tiara::pagetable
