// Eviction by copying: neighbouring clusters are frozen by one kernel call, read where they are, and dropped by
// another.
//
// Two calls, and two interrupts of the other CPUs, serve up to 4096 pages however they lie; UFFDIO_MOVE interrupts once
// for each run of neighbours, and random access leaves few of those. What no writer can change any more is hashed and
//   - with a store that answers at once: compared, and what changed is stored in the same step. Nothing is staged;
//   - with a store that makes its callers wait: copied into staging, from where write-back takes it.
// A page that a device is writing to would lose what arrives after the copy: see FarSpace::expect_device_access().
#pragma once

#include <cstdint>
#include <span>

#include "fault-handler/pager_parts.h"
#include "runtime/residency/cluster_claims.h"
#include "runtime/residency/write_back.h"

namespace tiara::residency {

class CopyOut {
 public:
  // `pages_per_call`: at most this many pages in one kernel call.
  CopyOut(const fault::PagerParts& parts, WriteBackSwitches switches, uint32_t pages_per_call) noexcept
      : parts_(parts), switches_(switches), pages_per_call_(pages_per_call) {}

  struct Outcome {
    uint64_t staged = 0;  // positions whose bytes are in staging now
    uint64_t remote = 0;  // positions that are on the node now
    uint64_t zeros = 0;   // positions that are nowhere: they read as zeros
    uint64_t doubtful = 0;  // positions that stay here and of which the node may or may not have bytes now
    uint64_t gone() const { return staged | remote | zeros; }
  };

  // The claims stay claimed throughout. First all of the span is frozen, as far as the kernel does that,
  void freeze(ClaimedSpan span) noexcept;
  // then what is frozen of each cluster is put somewhere: at once, without staging,
  Outcome to_store(const ClusterClaims& claims) noexcept;
  // or into the cluster's slot, whose places are free.
  Outcome to_staging(const ClusterClaims& claims, fault::StagingSlot slot) noexcept;
  // Last, what is gone by the outcomes (one a cluster) is unmapped, and the rest can be written to again.
  void drop_and_thaw(std::span<const ClusterClaims> span, std::span<const Outcome> outcomes) noexcept;

 private:
  bool freeze_run(ClaimedSpan span, PageNumber first, uint32_t count) noexcept;
  bool store_changed(const ClusterClaims& claims, uint64_t changed) noexcept;
  void forget_frames(const ClusterClaims& claims, uint64_t positions) noexcept;

  const fault::PagerParts& parts_;
  const WriteBackSwitches switches_;
  const uint32_t pages_per_call_;
};

}  // namespace tiara::residency
