// What the runtime knows about every far page: a state word (4 bytes), a content hash (8 bytes), and for every
// cluster of pages one word (4 bytes). With clusters of 16 pages that is 12.25 bytes a page, only where pages have
// been touched: the arrays are sparse mappings of near memory and survive fork as private copies.
#pragma once

#include <atomic>
#include <cstdint>
#include <span>

#include "fault-handler/page_word.h"
#include "runtime/base/error.h"
#include "runtime/base/hash.h"
#include "runtime/base/units.h"
#include "runtime/os/memory.h"

namespace tiara::fault {

// A cluster is a naturally aligned group of pages that are evicted by one step; at most 64 pages, so that a
// bitmap of its pages is one word.
struct ClusterNumber {
  uint32_t value = 0;
  friend constexpr bool operator==(ClusterNumber, ClusterNumber) = default;
};

// A place in the staging range that is as large as a cluster (staging.h).
struct StagingSlot {
  uint32_t value = UINT32_MAX;
  bool is_valid() const { return value != UINT32_MAX; }
  friend constexpr bool operator==(StagingSlot, StagingSlot) = default;
};

// A cluster's word: [19:0] its staging slot + 1 (0 = none), flags, [29:22] when a page of it last became resident,
// [31:30] where it stands in the queues.
//
// The lock makes "evict pages of this cluster" and "write its staged pages back" exclude each other; whoever
// holds it alone sets the slot. It is only ever tried, never waited for. Faults do not take it.
class ClusterWord {
 public:
  [[nodiscard]] bool try_lock() {
    // Acquire: pairs with unlock(), so that the slot's contents of the last holder are seen.
    return (raw_.fetch_or(kLocked, std::memory_order_acquire) & kLocked) == 0;
  }
  void unlock() { raw_.fetch_and(~kLocked, std::memory_order_release); }
  // Claims the right to put the cluster in the queue of resident clusters: at most one entry per cluster.
  [[nodiscard]] bool try_mark_queued() {
    // Sequentially consistent, as release() of the page's word before it and clear_queued(): either the evictor
    // sees the page resident, or we see the mark gone and queue the cluster again.
    if (raw_.load(std::memory_order_seq_cst) & kQueued) return false;
    return (raw_.fetch_or(kQueued, std::memory_order_seq_cst) & kQueued) == 0;
  }
  void clear_queued() { raw_.fetch_and(~kQueued, std::memory_order_seq_cst); }
  bool is_queued() const { return (raw_.load(std::memory_order_relaxed) & kQueued) != 0; }

  // Which queue it stands in, for policies that have two. Relaxed, as below.
  void set_established(bool is_established) {
    if (is_established) raw_.fetch_or(kEstablished, std::memory_order_relaxed);
    else raw_.fetch_and(~kEstablished, std::memory_order_relaxed);
  }
  bool is_established() const { return (raw_.load(std::memory_order_relaxed) & kEstablished) != 0; }

  // Its pages left before its turn, along with a neighbour's: its place in the queue is no longer its age. Relaxed, as
  // it only decides what leaves first.
  void mark_left_early() { raw_.fetch_or(kLeftEarly, std::memory_order_relaxed); }
  [[nodiscard]] bool take_left_early() {
    if ((raw_.load(std::memory_order_relaxed) & kLeftEarly) == 0) return false;
    return (raw_.fetch_and(~kLeftEarly, std::memory_order_relaxed) & kLeftEarly) != 0;
  }

  // Stable while a page of the cluster is staged and its word owned, or while the lock is held.
  StagingSlot slot() const {
    const uint32_t stored = raw_.load(std::memory_order_relaxed) & kSlotMask;
    return stored == 0 ? StagingSlot{} : StagingSlot{stored - 1};
  }
  void set_slot(StagingSlot slot) {
    const uint32_t stored = slot.is_valid() ? slot.value + 1 : 0;
    uint32_t seen = raw_.load(std::memory_order_relaxed);
    while (!raw_.compare_exchange_weak(seen, (seen & ~kSlotMask) | stored, std::memory_order_relaxed)) {
    }
  }
  // In a forked child: neither the queue nor the staging range that the word spoke of came along.
  void reset_after_fork() { raw_.store(0, std::memory_order_relaxed); }
  static constexpr uint32_t kMaxSlots = (1u << 20) - 1;

  // Time is counted in fetches of the whole space, modulo 256: enough for "a moment ago", which is all that is asked.
  void set_arrival(uint32_t fetches) {
    const uint32_t stamp = (fetches << kArrivalShift) & kArrivalMask;
    uint32_t seen = raw_.load(std::memory_order_relaxed);
    while ((seen & kArrivalMask) != stamp &&
           !raw_.compare_exchange_weak(seen, (seen & ~kArrivalMask) | stamp, std::memory_order_relaxed)) {
    }
  }
  uint32_t fetches_since_arrival(uint32_t fetches) const {
    return (fetches - ((raw_.load(std::memory_order_relaxed) & kArrivalMask) >> kArrivalShift)) & 0xFF;
  }

 private:
  static constexpr uint32_t kSlotMask = (1u << 20) - 1;
  static constexpr uint32_t kQueued = 1u << 20;
  static constexpr uint32_t kLocked = 1u << 21;
  static constexpr uint32_t kArrivalShift = 22;
  static constexpr uint32_t kArrivalMask = 0xFFu << kArrivalShift;
  static constexpr uint32_t kLeftEarly = 1u << 30;
  static constexpr uint32_t kEstablished = 1u << 31;
  std::atomic<uint32_t> raw_{0};
};
static_assert(sizeof(ClusterWord) == 4);

class PageDirectory {
 public:
  // For pages [0, pages). `cluster_pages` is a power of two from 4 to 64.
  static Result<PageDirectory> create(PageCount pages, uint32_t cluster_pages);

  PageCount pages() const { return pages_; }
  AtomicPageWord& word(PageNumber page) { return words_[page.value]; }
  const AtomicPageWord& word(PageNumber page) const { return words_[page.value]; }
  // Read and written only by the owner of the page's word (or for a page that is being written, by its writer).
  ContentHash& hash(PageNumber page) { return hashes_[page.value]; }

  uint32_t cluster_pages() const { return 1u << cluster_shift_; }
  uint32_t cluster_count() const {
    return static_cast<uint32_t>((pages_.value + cluster_pages() - 1) >> cluster_shift_);
  }
  ClusterNumber cluster_of(PageNumber page) const { return {static_cast<uint32_t>(page.value >> cluster_shift_)}; }
  PageNumber first_page(ClusterNumber cluster) const { return {uint64_t{cluster.value} << cluster_shift_}; }
  uint32_t position_of(PageNumber page) const { return static_cast<uint32_t>(page.value & (cluster_pages() - 1)); }
  ClusterWord& cluster(ClusterNumber number) { return clusters_[number.value]; }

  // Near memory that the directory occupies now (counts mapped pages of the arrays; a few milliseconds).
  Bytes resident_bytes() const;
  // Counts pages by state; for tests and the doctor. Not a snapshot while threads run.
  uint64_t count(PageState state) const;

 private:
  PageDirectory() = default;
  PageCount pages_;
  uint32_t cluster_shift_ = 0;
  AtomicPageWord* words_ = nullptr;
  ContentHash* hashes_ = nullptr;
  ClusterWord* clusters_ = nullptr;
  os::Mapping memory_[3];
};

// Bytes of `memory` that are backed by pages now (mincore(2)).
Bytes backed_bytes(std::span<const std::byte> memory);

}  // namespace tiara::fault
