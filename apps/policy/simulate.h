// Eviction policies on a string of page references, offline: how many pages each would have fetched.
//
// The policies of the runtime run their own code (runtime/residency/resident_order.h) on a model of the pager's queues:
// clusters, the staging range, the budget. LRU and Belady's optimum see every reference, which no pager without
// accessed bits does; they are what the others are held against.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "runtime/base/config.h"

namespace tiara::apps::policy {

// Pages renumbered from 0 in the order of their first use, so that tables can be arrays.
struct References {
  std::vector<uint32_t> pages;
  uint32_t page_count = 0;  // different pages
};
// The clusters of the runtime are neighbours in the address space; renumbering keeps them together: pages of one
// naturally aligned group of 64 get one group of 64 numbers.
References renumber(std::span<const uint64_t> pages);

// How pages leave, as residency::UnmapBy: into staging, where a fault may find them again, or straight to the node.
enum class Way : uint8_t { kMove, kCopy };

struct Memory {
  uint32_t pages = 0;          // that may be here, resident and staged together
  uint32_t cluster_pages = 1;  // power of two, 1 to 64
  double staging_share = 0.125;
  Way way = Way::kMove;  // kCopy: nothing is staged
  bool heat = false;     // with kCopy: pages that come back again and again stay for some rounds (PageHeat)
};

struct Misses {
  uint64_t references = 0;
  uint64_t first_uses = 0;  // no policy can avoid them; not misses
  uint64_t fetches = 0;     // the page had been here and had gone
  uint64_t taken_back = 0;  // the page was found in staging: a fault, and no fetch
  double miss_ratio() const {
    return references == 0 ? 0 : static_cast<double>(fetches) / static_cast<double>(references);
  }
};

Misses simulate_lru(const References& references, uint32_t memory_pages);
Misses simulate_belady(const References& references, uint32_t memory_pages);
Misses simulate_runtime(const References& references, const Memory& memory, EvictionPolicy policy);

}  // namespace tiara::apps::policy
