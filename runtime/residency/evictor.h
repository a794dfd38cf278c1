// Eviction, first half: resident pages of one cluster are unmapped by as few kernel calls as possible, by MOVE into
// staging, or by copying (copy_out.h), and then its neighbours leave along with it.
//
// Pages are claimed before the kernel is asked, the absent pages between them too: a MOVE over a hole would take a
// page that another thread is just mapping there, a copy would freeze or drop it. Pinned, near, protected and foreign
// pages stay.
#pragma once

#include <atomic>
#include <cstdint>

#include "fault-handler/pager_parts.h"
#include "runtime/residency/cluster_claims.h"
#include "runtime/residency/copy_out.h"
#include "runtime/residency/eviction_step.h"
#include "runtime/residency/page_heat.h"
#include "runtime/residency/pins.h"
#include "runtime/residency/resident_order.h"

namespace tiara::residency {

enum class UnmapBy : uint8_t { kMove, kCopy };

class Evictor {
 public:
  // `pages_per_call`: at most this many pages in one kernel call.
  Evictor(const fault::PagerParts& parts, const Pins& pins, ResidentOrder& order, PageHeat* heat, UnmapBy unmap_by,
          uint32_t pages_per_call, WriteBackSwitches switches) noexcept
      : parts_(parts), pins_(pins), order_(order), heat_(heat), copy_out_(parts, switches, pages_per_call),
        unmap_by_(unmap_by), pages_per_call_(pages_per_call) {}

  // Evicts from the cluster whose turn it is (resident_order.h), but none that got a page within the last
  // `protected_fetches` fetches. By copying, the clusters around it leave too, as far as the step goes. Pages that
  // left; 0 when none could (bounded search).
  uint32_t evict_oldest(uint32_t protected_fetches, EvictionStep step) noexcept;

  // Evicts those pages of the cluster whose positions are in `wanted`. kLocked and kNoSlot evict nothing.
  enum class Stop : uint8_t { kNone, kLocked, kNoSlot };
  struct Result {
    uint32_t evicted = 0;
    Stop stop = Stop::kNone;
  };
  Result evict(fault::ClusterNumber cluster, uint64_t wanted) noexcept;

  // Does eviction leave pages in staging? Not when it copies and the store answers at once.
  bool uses_staging() const noexcept { return unmap_by() == UnmapBy::kMove || !parts_.store.is_synchronous(); }
  // From the next cluster on. Relaxed: a cluster that is under way was begun before.
  void unmap_by(UnmapBy way) noexcept { unmap_by_.store(way, std::memory_order_relaxed); }
  UnmapBy unmap_by() const noexcept { return unmap_by_.load(std::memory_order_relaxed); }

 private:
  enum class Hot : uint8_t { kStays, kGoesToo };
  Result evict_victim(ResidentOrder::Victim chosen, uint32_t protected_fetches, EvictionStep step) noexcept;
  bool may_leave_along(fault::ClusterNumber cluster, ResidentOrder::Queue from,
                       uint32_t protected_fetches) const noexcept;
  struct Neighbours {
    uint32_t first;
    uint32_t end;
  };
  Neighbours neighbours_of(fault::ClusterNumber victim, EvictionStep step) const noexcept;
  uint32_t pages_to_leave(Neighbours clusters) const noexcept;
  bool is_fresh(fault::ClusterNumber cluster, uint32_t protected_fetches) const noexcept;
  bool lock_and_claim(ClusterClaims& claims, fault::ClusterNumber cluster, uint64_t wanted, Hot hot,
                      UnmapBy way) noexcept;
  Result evict_claimed(ClaimedSpan span, UnmapBy way) noexcept;
  void claim_resident(ClusterClaims& claims, uint64_t wanted, UnmapBy way) const noexcept;
  uint64_t cold_pages(fault::ClusterNumber cluster) noexcept;
  void note_left(const ClusterClaims& claims, uint64_t positions) noexcept;
  void claim_holes(ClaimedSpan span, UnmapBy way) const noexcept;
  void claim_holes_between(ClusterClaims& claims, uint32_t from, uint32_t to, UnmapBy way) const noexcept;
  void leave_pinned(ClusterClaims& claims) const noexcept;
  struct Slot {
    fault::StagingSlot slot;  // not valid: no place in staging
    bool is_new = false;
  };
  Slot take_slot(const ClusterClaims& claims) noexcept;
  void account_staged(const ClusterClaims& claims, Slot slot, uint64_t staged) noexcept;
  void return_unused(const ClusterClaims& claims, Slot slot, uint64_t staged) noexcept;
  Result move_to_staging(ClusterClaims& claims) noexcept;
  Result copy_to_staging(ClaimedSpan span) noexcept;
  Result copy_to_store(ClaimedSpan span) noexcept;
  uint64_t move_claimed(const ClusterClaims& claims, fault::StagingSlot slot) noexcept;
  uint64_t move_run(const ClusterClaims& claims, fault::StagingSlot slot, uint32_t at, uint32_t end) noexcept;
  void drop_stale(const ClusterClaims& claims, fault::StagingSlot slot) noexcept;
  void release_all(const ClusterClaims& claims, const CopyOut::Outcome& outcome) noexcept;
  bool has_pages_here(fault::ClusterNumber cluster) const noexcept;

  const fault::PagerParts& parts_;
  const Pins& pins_;
  ResidentOrder& order_;
  PageHeat* const heat_;  // nullptr: no page stays because it is hot
  CopyOut copy_out_;
  std::atomic<UnmapBy> unmap_by_;
  const uint32_t pages_per_call_;
};

}  // namespace tiara::residency
