#include "runtime/residency/discarder.h"

#include "fault-handler/contention.h"
#include "fault-handler/stop.h"
#include "runtime/base/check.h"

namespace tiara::residency {
namespace {

using fault::PageState;
using fault::PageWord;
using fault::claim_slow;
using fault::load;
using fault::release;
using fault::try_claim;
using fault::wait_for_change;
using enum fault::PageState;

// Pages claimed at a time: large enough that the kernel's and the node's work is done in bulk, small enough for a
// small stack and for others not to wait long.
constexpr uint32_t kMostClaimed = 1024;

}  // namespace

// Consecutive pages that are claimed.
struct Discarder::Run {
  PageNumber first;
  uint32_t count = 0;
  PageWord owned[kMostClaimed];
};

void Discarder::discard(PageRange range, uint32_t set, uint32_t clear) noexcept {
  Run run;
  for (PageNumber page = range.first; page < range.end();) {
    fault::AtomicPageWord& word = parts_.directory.word(page);
    const PageWord seen = load(word);
    if (seen.has(fault::kBusy | fault::kWriting)) {
      flush(run, set, clear);
      wait_for_change(word, seen);
      continue;
    }
    // Nothing to drop and no flag to change: not claimed, so that sparse ranges cost no metadata.
    const bool is_idle = seen.state() == kUntouched && (seen.raw() & (clear | fault::kHasFrame)) == 0 &&
                         (seen.raw() & set) == set;
    if (is_idle) {
      flush(run, set, clear);
      page = page + PageCount{1};
      continue;
    }
    const auto owned = try_claim(word, seen);
    if (!owned) continue;
    if (run.count == 0) run.first = page;
    run.owned[run.count++] = *owned;
    page = page + PageCount{1};
    if (run.count == kMostClaimed) flush(run, set, clear);
  }
  flush(run, set, clear);
}

void Discarder::discard_frames(const Run& run) noexcept {
  uint32_t at = 0;
  while (at < run.count) {
    uint32_t end = at;
    while (end < run.count && run.owned[end].has(fault::kHasFrame)) ++end;
    if (end > at) {
      const PageRange framed{run.first + PageCount{at}, PageCount{end - at}};
      const auto status =
          fault::retry_contended(parts_.contended_bound, [&]() noexcept { return parts_.store.discard(framed); });
      if (status != pagetable::StoreStatus::kOk)
        fault::stop_for_store(parts_.stats, status, "discarding", framed.first);
    }
    at = end + 1;
  }
}

void Discarder::flush(Run& run, uint32_t set, uint32_t clear) noexcept {
  if (run.count == 0) return;
  uint64_t dropped = 0;
  bool has_mapped = false;
  for (uint32_t i = 0; i < run.count; ++i) {
    dropped += run.owned[i].state() != kUntouched;
    has_mapped |= run.owned[i].state() == kResident && !run.owned[i].has(fault::kForeign);
  }
  discard_frames(run);
  // One call over the whole run: all of it is ours, so nobody can map a page meanwhile.
  if (has_mapped) parts_.mapper.drop(run.first, run.count);
  stats::bump(parts_.counters().discarded_pages, dropped);
  for (uint32_t i = 0; i < run.count; ++i) {
    const PageNumber page = run.first + PageCount{i};
    const PageWord owned = run.owned[i];
    if (owned.state() != kUntouched) {
      parts_.account(owned.state(), kUntouched, 1);
      parts_.directory.hash(page) = 0;
    }
    release(parts_.directory.word(page), owned, owned.in(kUntouched).without(clear | fault::kHasFrame).with(set));
  }
  run.count = 0;
}

}  // namespace tiara::residency
