// Staging: pages that were unmapped by eviction and whose bytes are still here, frozen.
//
// The range is divided into slots as large as a cluster; a cluster's pages are staged at their own positions of at
// most one slot. Slots are written back oldest first, which gives every evicted page a second chance: a fault
// on it takes it back without the node. Staged frames are freed, never recycled: the kernel may still read them
// for somebody (vmsplice, MSG_ZEROCOPY).
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>

#include "fault-handler/number_ring.h"
#include "fault-handler/page_directory.h"
#include "runtime/base/error.h"
#include "runtime/os/memory.h"

namespace tiara::fault {

class Staging {
 public:
  static Result<Staging> create(uint32_t slots, uint32_t cluster_pages);
  Staging(Staging&&) noexcept;

  uint32_t slots() const { return slot_count_; }
  Bytes range_size() const { return {uint64_t{slot_count_} * cluster_pages_ * kPageSize}; }

  // A free slot for the cluster, or an invalid one when all are taken. The caller holds the cluster's lock.
  StagingSlot acquire(ClusterNumber owner) noexcept;
  void free(StagingSlot slot) noexcept;
  ClusterNumber owner(StagingSlot slot) const noexcept {
    return {table_[slot.value].owner.load(std::memory_order_relaxed) - 1};
  }

  // Which positions of the slot are backed by bytes: a superset of the pages that are staged there, because a page
  // that was copied out of staging or discarded leaves its bytes until the slot is freed.
  uint64_t populated(StagingSlot slot) const noexcept {
    return table_[slot.value].populated.load(std::memory_order_acquire);
  }
  void mark_populated(StagingSlot slot, uint64_t positions) noexcept {
    table_[slot.value].populated.fetch_or(positions, std::memory_order_release);
  }
  void clear_populated(StagingSlot slot, uint64_t positions) noexcept {
    table_[slot.value].populated.fetch_and(~positions, std::memory_order_acq_rel);
  }

  // The queue of slots that wait to be written back.
  void push_oldest_last(StagingSlot slot) noexcept { queue_.push(slot.value); }
  std::optional<StagingSlot> try_pop_oldest() noexcept {
    const auto number = queue_.try_pop();
    return number ? std::optional(StagingSlot{*number}) : std::nullopt;
  }
  uint64_t queued() const noexcept { return queue_.size(); }

 private:
  struct Entry {
    std::atomic<uint64_t> populated{0};
    std::atomic<uint32_t> owner{0};  // cluster + 1; 0 = free
  };
  Staging(uint32_t slots, uint32_t cluster_pages, os::Mapping memory, NumberRing queue)
      : slot_count_(slots), cluster_pages_(cluster_pages), memory_(std::move(memory)),
        table_(reinterpret_cast<Entry*>(memory_.data())), queue_(std::move(queue)) {}

  uint32_t slot_count_;
  uint32_t cluster_pages_;
  os::Mapping memory_;
  Entry* table_;
  NumberRing queue_;
  // Slots are handed out in turn, so that slots freed together are neighbours and one call drops their bytes.
  std::atomic<uint32_t> next_{0};
};

}  // namespace tiara::fault
