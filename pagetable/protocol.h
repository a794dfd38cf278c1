// What the page-table operators take and give back: the contract between the .tiara sources of this
// folder and the C++ that calls them. The sources' header comments say the same in words; tests
// hold the two together.
#pragma once

#include <cstdint>

#include "nic/node/pool_layout.h"

namespace tiara::pagetable {

// Arguments of every operator: r0 = first page, r1 = bitmap (read, write) or count (discard, stat).

// pt_read: r0 = bitmap of the pages that are present; the reply holds them in ascending order.
enum ReadResultIndex : uint32_t { kReadPresent = 0 };

// pt_chase: r0 = pages in the reply. Arguments: page, link, base, link offset, looks.
enum ChaseResultIndex : uint32_t { kChasePages = 0 };

// pt_write: r0 = bitmap of the pages that were NOT stored (0: all were); r1 = why (a
// pool::FailReason), 0 for none.
enum WriteResultIndex : uint32_t { kWriteMissing = 0, kWriteReason = 1 };

// pt_discard: r0 = pages that had a frame and lost it; r1 = the first page not looked at yet (the
// operator stops at the end of a leaf table, and leaps over tables that do not exist); r2 = why it
// stopped early, 0 for none.
enum DiscardResultIndex : uint32_t { kDiscarded = 0, kDiscardNext = 1, kDiscardReason = 2 };

// pt_stat: r0 = pages present, r1 = the first page not looked at yet (as above), r2 = pages and r3
// = tables of the whole space.
enum StatResultIndex : uint32_t {
  kStatPresent = 0,
  kStatNext = 1,
  kStatPages = 2,
  kStatTables = 3
};

// pt_walk: r0 = the page's entry (pool offset and flags), 0 when absent.
enum WalkResultIndex : uint32_t { kWalkEntry = 0 };

constexpr uint64_t reason_word(nic::pool::FailReason reason) {
  return static_cast<uint64_t>(reason);
}

}  // namespace tiara::pagetable
