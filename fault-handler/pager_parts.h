// The pieces that every part of the pager works on, and the rules that keep the statistics exact.
#pragma once

#include <chrono>
#include <cstdint>

#include "fault-handler/page_directory.h"
#include "fault-handler/page_mapper.h"
#include "fault-handler/reply_buffers.h"
#include "fault-handler/staging.h"
#include "pagetable/page_store.h"
#include "runtime/base/stats.h"

namespace tiara::fault {

// Why a page became resident: what eviction policies go by.
enum class Arrival : uint8_t {
  kNew,        // it held nothing: zeros were mapped
  kFetched,    // from the node
  kTakenBack,  // from staging: it was used again shortly after it had been unmapped
};

// What the resolver asks of residency (runtime/residency/).
class Residency {
 public:
  virtual ~Residency() = default;
  // Called when a page became resident, after its word was released. Bounded, no allocation, no waiting.
  virtual void arrived(PageNumber page, Arrival how) noexcept = 0;
  // Called after pages became resident and their words were released: evict until the budget holds again.
  // May write pages back in this thread when the store answers at once. Bounded work.
  virtual void settle() noexcept = 0;
};

struct PagerParts {
  PageDirectory& directory;
  Staging& staging;
  PageMapper& mapper;
  pagetable::PageStore& store;
  ReplyBuffers& replies;
  stats::ProcessStats& stats;
  std::atomic<uint32_t>& fetches;  // counts calls that brought pages in: the clock of "a moment ago"
  std::chrono::nanoseconds contended_bound = std::chrono::seconds(30);  // of retry_contended (contention.h)

  stats::Counters& counters() const noexcept { return stats.counters; }

  // Keeps the gauges in step with `count` pages going from one state to another.
  void account(PageState from, PageState to, uint64_t count) const noexcept;
  // The same for bytes in staging.
  void account_staged(int64_t pages) const noexcept;
  // Where the bytes of a staged page are.
  const std::byte* staged_bytes(StagingPlace at) const noexcept {
    const std::byte* copy = staging.copy_at(at.slot, at.position);
    return copy != nullptr ? copy : mapper.staged_bytes(at);
  }
};

}  // namespace tiara::fault
