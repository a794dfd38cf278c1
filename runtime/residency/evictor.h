// Eviction, first half: resident pages of one cluster are unmapped into staging by as few kernel calls as possible.
//
// Pages are claimed before the kernel is asked, the absent pages between them too: a MOVE over a hole would take a
// page that another thread is just mapping there. Pinned, near, protected and foreign pages stay.
#pragma once

#include <cstdint>

#include "fault-handler/pager_parts.h"
#include "runtime/residency/pins.h"
#include "runtime/residency/resident_order.h"

namespace tiara::residency {

enum class UnmapBy : uint8_t { kMove, kCopy };

class Evictor {
 public:
  // `pages_per_call`: at most this many pages in one kernel call.
  Evictor(const fault::PagerParts& parts, const Pins& pins, ResidentOrder& order, UnmapBy unmap_by,
          uint32_t pages_per_call) noexcept
      : parts_(parts), pins_(pins), order_(order), unmap_by_(unmap_by), pages_per_call_(pages_per_call) {}

  // Evicts from the cluster whose turn it is (resident_order.h), but none that got a page within the last
  // `protected_fetches` fetches. Pages staged; 0 when none could be (bounded search).
  uint32_t evict_oldest(uint32_t protected_fetches) noexcept;

  // Evicts those pages of the cluster whose positions are in `wanted`. kLocked and kNoSlot stage nothing.
  enum class Stop : uint8_t { kNone, kLocked, kNoSlot };
  struct Result {
    uint32_t staged = 0;
    Stop stop = Stop::kNone;
  };
  Result evict(fault::ClusterNumber cluster, uint64_t wanted) noexcept;

 private:
  struct Claims;
  void claim_evictable(Claims& claims, uint64_t wanted) const noexcept;
  void claim_holes(Claims& claims) const noexcept;
  uint64_t unmap_claimed(const Claims& claims, fault::StagingSlot slot) noexcept;
  uint64_t unmap_run(const Claims& claims, fault::StagingSlot slot, uint32_t at, uint32_t end) noexcept;
  void release_all(const Claims& claims, uint64_t staged) noexcept;
  bool has_pages_here(fault::ClusterNumber cluster) const noexcept;

  const fault::PagerParts& parts_;
  const Pins& pins_;
  ResidentOrder& order_;
  const UnmapBy unmap_by_;
  const uint32_t pages_per_call_;
};

}  // namespace tiara::residency
