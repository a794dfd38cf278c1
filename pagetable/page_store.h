// Where pages go when they are not here: one far address space on a memory node, page by page
// number.
//
// The pager (fault-handler/, runtime/residency/) sees only this interface; RemotePageTable
// implements it over a Channel with the operators of this folder, and tests implement it on a plain
// map.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "runtime/base/units.h"

namespace tiara::pagetable {

// Pages [first, first + 64): bit i stands for page first + i.
struct PageBatch {
  PageNumber first;
  uint64_t bitmap = 0;
};

enum class [[nodiscard]] StoreStatus : uint8_t{
    kOk,
    kNodeFull,   // no frame left: nothing, or only a prefix of the batch, was stored (storing it
                 // again is right)
    kContended,  // as kNodeFull, but only for now: other writers kept winning the node's free list.
                 // The pages are as good as unwritten and the call did not fail; store (or discard)
                 // them again later
    kNodeLost,  // no later call will work
    kCorrupt,   // the node answered what no right node answers (a fault, a refusal, a wrong length)
};

struct ReadResult {
  StoreStatus status = StoreStatus::kNodeLost;
  uint64_t present = 0;  // subset of the batch's bitmap: pages that have a frame
};

// A page, and the pages that a chain of pointers in it leads to.
struct Chase {
  PageNumber page;
  uint64_t link = 0;         // byte offset, in the space, of the first pointer; in `page`
  uint64_t base = 0;         // the address of byte offset 0, as the pointers have it
  uint64_t link_offset = 0;  // from where a pointer leads to, to the next pointer
  uint32_t looks = 1;        // pointers followed at most, plus one; up to kMostChaseLooks
};
inline constexpr uint32_t kMostChaseLooks = 33;

// What a chase brings: `count` entries, one behind the other.
struct ChasedPage {
  uint64_t number;
  std::byte bytes[kPageSize];
};
static_assert(sizeof(ChasedPage) == sizeof(uint64_t) + kPageSize);

struct ChaseResult {
  StoreStatus status = StoreStatus::kNodeLost;
  uint32_t count = 0;  // 0: the first page is absent
};

class PageStore {
 public:
  virtual ~PageStore() = default;

  // All calls: thread-safe, no allocation, bounded waiting. Two calls on one page never overlap:
  // the caller owns the page's state word while it calls.

  // Reads the batch's pages in ONE invocation. Present pages are written to `out` packed in
  // ascending order, kPageSize each; `out` has room for every page of the bitmap.
  virtual ReadResult read(PageBatch batch, std::span<std::byte> out) noexcept = 0;

  // Reads a page and those that its chain leads to in ONE invocation; `out` has room for all looks. The caller
  // owns chase.page, which is the first entry if any. Of the others the bytes may be old or torn.
  virtual ChaseResult chase(const Chase& chase, std::span<std::byte> out) noexcept = 0;

  // Stores the batch's pages in ONE invocation; `pages` holds popcount(bitmap) pointers to
  // kPageSize bytes, in ascending order. The bytes do not change until the call returns.
  virtual StoreStatus write(PageBatch batch, std::span<const std::byte* const> pages) noexcept = 0;

  // Forgets the pages of the range that have frames; unknown pages are not an error. Any length.
  virtual StoreStatus discard(PageRange range) noexcept = 0;

  // --- pipelined writes, for write-back that nobody waits for ---
  // A store that cannot pipeline does the write at post_write and remembers its status.
  struct PendingWrite {
    uint32_t value = UINT32_MAX;
    bool is_valid() const { return value != UINT32_MAX; }
  };
  // The bytes are copied before this returns. Invalid: all slots taken, collect one first.
  virtual PendingWrite post_write(PageBatch batch,
                                  std::span<const std::byte* const> pages) noexcept = 0;
  virtual bool is_done(PendingWrite pending) noexcept = 0;
  virtual StoreStatus collect(PendingWrite pending) noexcept = 0;

  // True when calls complete in the calling thread without waiting for anybody (loop transport).
  virtual bool is_synchronous() const noexcept = 0;
};

}  // namespace tiara::pagetable
