// The pieces that every part of the pager works on, and the rules that keep the statistics exact.
#pragma once

#include <cstdint>

#include "fault-handler/number_ring.h"
#include "fault-handler/page_directory.h"
#include "fault-handler/page_mapper.h"
#include "fault-handler/reply_buffers.h"
#include "fault-handler/staging.h"
#include "pagetable/page_store.h"
#include "runtime/base/stats.h"

namespace tiara::fault {

// What the resolver asks of residency (runtime/residency/).
class Residency {
 public:
  virtual ~Residency() = default;
  // Called after pages became resident and their words were released: evict until the budget holds again.
  // May write pages back in this thread when the store answers at once. Bounded work.
  virtual void settle() noexcept = 0;
};

struct PagerParts {
  PageDirectory& directory;
  Staging& staging;
  NumberRing& resident_clusters;  // first in, first out: clusters that have resident pages
  PageMapper& mapper;
  pagetable::PageStore& store;
  ReplyBuffers& replies;
  stats::ProcessStats& stats;
  std::atomic<uint32_t>& fetches;  // counts calls that brought pages in: the clock of "a moment ago"

  stats::Counters& counters() const noexcept { return stats.counters; }

  // Keeps the gauges in step with `count` pages going from one state to another.
  void account(PageState from, PageState to, uint64_t count) const noexcept;
  // The same for bytes in staging.
  void account_staged(int64_t pages) const noexcept;
  // Puts the page's cluster in the queue of resident clusters unless it stands there.
  void note_resident(PageNumber page) const noexcept {
    const ClusterNumber cluster = directory.cluster_of(page);
    directory.cluster(cluster).set_arrival(fetches.load(std::memory_order_relaxed));
    queue(cluster);
  }
  void queue(ClusterNumber cluster) const noexcept {
    if (directory.cluster(cluster).try_mark_queued()) resident_clusters.push(cluster.value);
  }
};

}  // namespace tiara::fault
