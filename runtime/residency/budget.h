// How many far pages may be here: what the user allows for all anonymous memory, less what is not far.
#pragma once

#include <atomic>
#include <cstdint>

#include "runtime/base/config.h"
#include "runtime/base/stats.h"
#include "runtime/base/units.h"

namespace tiara::residency {

class Budget {
 public:
  // One instruction or one system call of a thread can need this many pages at once; with fewer it would fetch and
  // lose them for ever.
  static constexpr uint64_t kFloorPagesPerThread = 16;

  Budget(LocalBudget local, uint32_t cluster_pages, stats::ProcessStats& stats) noexcept;

  // Pages that may be resident or staged now.
  uint64_t limit_pages() const noexcept;
  // The part of the limit that staged pages may take before the oldest are written back.
  uint64_t staging_pages() const noexcept;
  uint64_t resident_limit_pages() const noexcept {
    const uint64_t limit = limit_pages();
    return limit == kUnlimited ? limit : limit - staging_pages();
  }

  // Minimum residency: what the last so many fetches brought is not evicted, whatever the budget. One instruction can
  // need four pages (two operands across page borders); if everything else is pinned or near, evicting one of them to
  // fetch another would go on for ever.
  uint32_t protected_fetches() const noexcept;

  // What the keeper measured: anonymous memory of the process that is not far memory, and its threads.
  void measured(Bytes near_memory, uint32_t threads) noexcept;

  static constexpr uint64_t kUnlimited = UINT64_MAX;

 private:
  uint64_t floor_pages() const noexcept;
  const LocalBudget local_;
  const uint32_t cluster_pages_;
  stats::ProcessStats& stats_;
  std::atomic<uint64_t> near_bytes_{0};
  std::atomic<uint32_t> threads_{1};
  std::atomic<bool> has_noted_floor_{false};
};

}  // namespace tiara::residency
