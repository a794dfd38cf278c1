// Staging: pages that were unmapped by eviction and whose bytes are still here, frozen.
//
// The range is divided into slots as large as a cluster; a cluster's pages are staged at their own positions of at
// most one slot. Slots are written back oldest first, which gives every evicted page a second chance: a fault
// on it takes it back without the node.
//
// The bytes of a place are either a frame that was moved there (eviction by MOVE), or a copy in one of the staging's
// own frames. Moved frames are freed, never recycled: the kernel may still read them for somebody (vmsplice,
// MSG_ZEROCOPY). Copies are ours alone and are used again.
#pragma once

#include <array>
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
  // The most copies: 128 MiB of addresses, used from the low end. The pager keeps far below (pager.cc).
  static constexpr uint32_t kFrames = 32768;

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

  // Copies a page into a frame of ours; false when none is free. The caller holds the cluster's lock, owns the page,
  // and marks the position as populated.
  [[nodiscard]] bool copy_in(StagingSlot slot, uint32_t position, const std::byte* bytes) noexcept;
  // The bytes at the position if they are a copy, else nullptr: the place itself holds them.
  const std::byte* copy_at(StagingSlot slot, uint32_t position) const noexcept {
    if ((copied(slot) >> position & 1) == 0) return nullptr;
    return frame_bytes(frames_[index_of(slot, position)].load(std::memory_order_relaxed));
  }
  // Which positions hold copies. A subset of the populated ones.
  uint64_t copied(StagingSlot slot) const noexcept { return table_[slot.value].copied.load(std::memory_order_acquire); }
  // Frees the frames of those of the positions that hold copies. The caller holds the cluster's lock.
  void drop_copies(StagingSlot slot, uint64_t positions) noexcept;
  // Frames that hold copies now. Not a snapshot while threads run.
  uint64_t copies() const noexcept;

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
    std::atomic<uint64_t> copied{0};
    std::atomic<uint32_t> owner{0};  // cluster + 1; 0 = free
  };
  static constexpr uint32_t kNoFrame = UINT32_MAX;
  struct Memory {
    os::Mapping table;
    os::Mapping frame_numbers;
    os::Mapping frames;
  };
  Staging(uint32_t slots, uint32_t cluster_pages, Memory memory, NumberRing queue);
  size_t index_of(StagingSlot slot, uint32_t position) const noexcept {
    return size_t{slot.value} * cluster_pages_ + position;
  }
  std::byte* frame_bytes(uint32_t frame) const noexcept {
    return memory_.frames.data() + (size_t{frame} << kPageShift);
  }
  uint32_t take_frame() noexcept;

  uint32_t slot_count_;
  uint32_t cluster_pages_;
  Memory memory_;
  Entry* table_;
  std::atomic<uint16_t>* frames_;  // of each place that holds a copy
  NumberRing queue_;
  std::array<std::atomic<uint64_t>, kFrames / 64> taken_frames_{};
  std::atomic<uint32_t> first_open_{0};  // words of taken_frames_ below this were full when last looked at
  // Slots are handed out in turn, so that slots freed together are neighbours and one call drops their bytes.
  std::atomic<uint32_t> next_{0};
};

}  // namespace tiara::fault
