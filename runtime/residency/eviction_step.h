// How much leaves in one eviction by copying. The pager and `tiara bench policy` run this very code.
//
// A step costs two flushes of the TLB however much it takes, and on a virtual machine whose hypervisor keeps shadow
// page tables a flush costs as much as hundreds of pages: so the cluster whose turn it is takes its neighbours along.
// Where the processor walks the page tables a flush costs as much as a few pages, and smaller steps keep the slowest
// misses short.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>

#include "fault-handler/page_tables.h"
#include "runtime/residency/cluster_claims.h"

namespace tiara::residency {

struct EvictionStep {
  uint32_t span_pages;  // the neighbourhood: naturally aligned, a power of two, at most kMostSpanClusters clusters
  uint32_t most_pages;  // with more pages to leave the neighbourhood is halved, down to one cluster
};

// Shares of what may be here. What leaves is small, so that a small memory does not lose a large part of itself at
// once, and whoever pays for the step does not wait for long: measured, twice as much saves a tenth more and doubles
// the slowest hundredth. Where it is looked for is wide, so that steps are full where most pages are hot or away.
constexpr uint64_t kSpanShare = 2;
constexpr uint64_t kStepShare = 32;
// Of what staging may hold, which write-back has to empty meanwhile.
constexpr uint64_t kStagedStepShare = 4;
constexpr uint64_t most_step_pages(fault::PageTables tables) {
  return tables == fault::PageTables::kShadowed ? 2048 : 256;
}

// `resident_limit`, `staging_limit`: pages that may be resident and staged; staging_limit 0: nothing is staged.
inline EvictionStep automatic_step(uint64_t resident_limit, uint64_t staging_limit, uint32_t cluster_pages,
                                   fault::PageTables tables) noexcept {
  const uint64_t span = std::bit_floor(std::max<uint64_t>(resident_limit / kSpanShare, cluster_pages));
  uint64_t most = std::min(resident_limit / kStepShare, most_step_pages(tables));
  if (staging_limit != 0) most = std::min(most, staging_limit / kStagedStepShare);
  const uint64_t widest = uint64_t{cluster_pages} * kMostSpanClusters;
  return {static_cast<uint32_t>(std::min(span, widest)), static_cast<uint32_t>(most)};
}

}  // namespace tiara::residency
