#include "runtime/residency/evictor.h"

#include <algorithm>
#include <bit>

#include "runtime/base/check.h"

namespace tiara::residency {
namespace {

using fault::ClusterNumber;
using fault::IoStatus;
using fault::PageState;
using fault::PageWord;
using fault::claim_slow;
using fault::load;
using fault::release;
using fault::try_claim;
using fault::wait_for_change;
using fault::StagingSlot;
using enum fault::PageState;

// How many clusters one call looks at before it gives up: all of them may be pinned or near, and a fault waits.
constexpr uint32_t kMostClustersTried = 32;

}  // namespace

uint32_t Evictor::evict_oldest(uint32_t protected_fetches) noexcept {
  for (uint32_t tried = 0; tried < kMostClustersTried; ++tried) {
    const auto victim = order_.try_pop();
    if (!victim) return 0;
    const ClusterNumber cluster = victim->cluster;
    // Before the pages are looked at: whatever becomes resident from here on queues the cluster again.
    parts_.directory.cluster(cluster).clear_queued();
    const uint32_t now = parts_.fetches.load(std::memory_order_relaxed);
    const bool is_fresh = parts_.directory.cluster(cluster).fetches_since_arrival(now) < protected_fetches;
    const Result result = is_fresh ? Result{} : evict(cluster, ~uint64_t{0}, Hot::kStays);
    if (has_pages_here(cluster) && parts_.directory.cluster(cluster).try_mark_queued()) order_.put_back(*victim);
    if (result.evicted > 0) return result.evicted;
    if (result.stop == Stop::kNoSlot) return 0;
  }
  return 0;
}

// Pages that only discard or release_near would make evictable are not waited for in the queue.
bool Evictor::has_pages_here(ClusterNumber cluster) const noexcept {
  const PageNumber first = parts_.directory.first_page(cluster);
  for (uint32_t i = 0; i < parts_.directory.cluster_pages(); ++i) {
    if ((first + PageCount{i}).value >= parts_.directory.pages().value) break;
    const PageWord word = load(parts_.directory.word(first + PageCount{i}));
    if (word.has(fault::kNear | fault::kForeign)) continue;
    if (word.state() == kResident || word.has(fault::kBusy)) return true;
  }
  return false;
}

// Positions that are not kept for their heat. Asking cools the others down.
uint64_t Evictor::cold_pages(ClusterNumber cluster) noexcept {
  uint64_t cold = ~uint64_t{0};
  const PageNumber first = parts_.directory.first_page(cluster);
  for (uint32_t i = 0; i < parts_.directory.cluster_pages(); ++i) {
    const PageNumber page = first + PageCount{i};
    if (page.value >= parts_.directory.pages().value) break;
    if (load(parts_.directory.word(page)).state() == kResident && heat_->stays(page)) cold &= ~bit_at(i);
  }
  return cold;
}

void Evictor::note_left(const ClusterClaims& claims, uint64_t positions) noexcept {
  if (positions == 0) return;
  order_.left(claims.cluster);
  if (heat_ == nullptr) return;
  const uint64_t resident = parts_.counters().resident_pages.load(std::memory_order_relaxed);
  ClusterClaims::for_each(positions, [&](uint32_t position) { heat_->left(claims.page(position), resident); });
}

Evictor::Result Evictor::evict(ClusterNumber cluster, uint64_t wanted, Hot hot) noexcept {
  fault::ClusterWord& word = parts_.directory.cluster(cluster);
  if (!word.try_lock()) return {0, Stop::kLocked};
  const UnmapBy way = unmap_by();
  // A MOVE interrupts the other CPUs once more for each page that it has to step over.
  if (hot == Hot::kStays && heat_ != nullptr && way == UnmapBy::kCopy) wanted &= cold_pages(cluster);
  ClusterClaims claims;
  claims.cluster = cluster;
  claims.first = parts_.directory.first_page(cluster);
  claim_resident(claims, wanted, way);
  leave_pinned(claims);
  Result result;
  if (claims.leaving != 0) {
    claim_holes(claims, way);
    if (way == UnmapBy::kMove || !parts_.store.is_synchronous()) {
      result = stage(claims, way);
    } else {
      const CopyOut::Outcome outcome = copy_out_.to_store(claims);
      result.evicted = static_cast<uint32_t>(std::popcount(outcome.gone()));
      note_left(claims, outcome.gone());
      stats::bump(parts_.counters().pages_stored_directly, result.evicted);
      parts_.account(kResident, kRemote, static_cast<uint64_t>(std::popcount(outcome.remote)));
      parts_.account(kResident, kUntouched, static_cast<uint64_t>(std::popcount(outcome.zeros)));
      release_all(claims, outcome);
    }
  } else {
    release_all(claims, {});
  }
  word.unlock();
  return result;
}

Evictor::Result Evictor::stage(ClusterClaims& claims, UnmapBy way) noexcept {
  fault::ClusterWord& word = parts_.directory.cluster(claims.cluster);
  StagingSlot slot = word.slot();
  const bool is_new = !slot.is_valid();
  if (is_new) slot = parts_.staging.acquire(claims.cluster);
  if (!slot.is_valid()) {
    release_all(claims, {});
    return {0, Stop::kNoSlot};
  }
  word.set_slot(slot);
  drop_stale(claims, slot);
  CopyOut::Outcome outcome;
  if (way == UnmapBy::kMove) outcome.staged = move_claimed(claims, slot);
  else outcome = copy_out_.to_staging(claims, slot);
  const auto count = static_cast<uint32_t>(std::popcount(outcome.staged));
  parts_.staging.mark_populated(slot, outcome.staged);
  parts_.account_staged(count);
  parts_.account(kResident, kStaged, count);
  note_left(claims, outcome.staged);
  stats::bump(parts_.counters().pages_staged, count);
  release_all(claims, outcome);
  if (is_new && count == 0) {
    word.set_slot(StagingSlot{});
    parts_.staging.free(slot);
  } else if (is_new) {
    parts_.staging.push_oldest_last(slot);
  }
  return {count, Stop::kNone};
}

void Evictor::claim_resident(ClusterClaims& claims, uint64_t wanted, UnmapBy way) const noexcept {
  const uint64_t pages = parts_.directory.pages().value;
  for (uint32_t i = 0; i < parts_.directory.cluster_pages() && claims.first.value + i < pages; ++i) {
    const bool is_wanted = (wanted & bit_at(i)) != 0;
    // A copy's calls may span pages that stay; a MOVE would take them along.
    if (!is_wanted && way == UnmapBy::kMove) continue;
    fault::AtomicPageWord& word = parts_.directory.word(claims.page(i));
    const PageWord seen = load(word);
    if (seen.state() != kResident) continue;
    if (is_wanted && seen.has(fault::kProtected)) stats::bump(parts_.counters().evict_unevictable);
    if (seen.has(fault::kBusy | fault::kNear | fault::kProtected | fault::kForeign | fault::kWriting)) continue;
    const auto owned = try_claim(word, seen);
    if (!owned) continue;
    claims.owned[i] = *owned;
    (is_wanted ? claims.leaving : claims.staying) |= bit_at(i);
  }
}

// Gives pinned pages back: the kernel may be using them at this moment, so they may not even be frozen.
void Evictor::leave_pinned(ClusterClaims& claims) const noexcept {
  if (claims.leaving == 0) return;
  // After the claims: see pins.h.
  const uint64_t pinned = pins_.pinned(claims.first, parts_.directory.cluster_pages());
  ClusterClaims::for_each(pinned & (claims.leaving | claims.staying), [&](uint32_t position) {
    release(parts_.directory.word(claims.page(position)), claims.owned[position], claims.owned[position]);
  });
  claims.leaving &= ~pinned;
  claims.staying &= ~pinned;
}

void Evictor::claim_holes(ClusterClaims& claims, UnmapBy way) const noexcept {
  const auto low = static_cast<uint32_t>(std::countr_zero(claims.leaving));
  const auto high = 63 - static_cast<uint32_t>(std::countl_zero(claims.leaving));
  for (uint32_t i = low + 1; i < high; ++i) {
    if ((claims.leaving | claims.staying) & bit_at(i)) continue;
    fault::AtomicPageWord& word = parts_.directory.word(claims.page(i));
    const PageWord seen = load(word);
    const bool is_absent = seen.state() == kUntouched || seen.state() == kRemote;
    // Places of staged pages are occupied, where a MOVE would want them free.
    const bool is_staged = seen.state() == kStaged || seen.state() == kWritingBack;
    if (!is_absent && !(is_staged && way == UnmapBy::kCopy)) continue;
    if (seen.has(fault::kBusy | fault::kForeign | fault::kProtected)) continue;
    const auto owned = try_claim(word, seen);
    if (!owned) continue;
    claims.owned[i] = *owned;
    claims.holes |= bit_at(i);
  }
}

// Bytes that a discarded or copied-back page left at a position that is needed now. A MOVE needs the places of holes
// empty too: it looks at the destination (EEXIST) before it finds that there is nothing to move.
void Evictor::drop_stale(const ClusterClaims& claims, StagingSlot slot) noexcept {
  uint64_t needed = claims.leaving;
  ClusterClaims::for_each(claims.holes, [&](uint32_t position) {
    const PageState state = claims.owned[position].state();
    if (state != kStaged && state != kWritingBack) needed |= bit_at(position);
  });
  const uint64_t stale = parts_.staging.populated(slot) & needed;
  const uint64_t copies = parts_.staging.copied(slot) & stale;
  parts_.staging.drop_copies(slot, copies);
  ClusterClaims::for_each(stale & ~copies,
                          [&](uint32_t position) { parts_.mapper.drop_staged({slot, position}, 1); });
  parts_.staging.clear_populated(slot, stale);
  parts_.account_staged(-std::popcount(stale));
}

uint64_t Evictor::move_claimed(const ClusterClaims& claims, StagingSlot slot) noexcept {
  const uint64_t claimed = claims.leaving | claims.holes;
  uint64_t staged = 0;
  uint32_t at = 0;
  const uint32_t pages = parts_.directory.cluster_pages();
  while (at < pages) {
    if ((claims.leaving & bit_at(at)) == 0) {
      ++at;
      continue;
    }
    uint32_t end = at;  // the run: claimed positions, cut at the last resident one
    uint32_t last = at;
    while (end < pages && (claimed & bit_at(end)) != 0 && end - at < pages_per_call_) {
      if (claims.leaving & bit_at(end)) last = end;
      ++end;
    }
    staged |= move_run(claims, slot, at, last + 1);
    at = last + 1;
  }
  return staged;
}

uint64_t Evictor::move_run(const ClusterClaims& claims, StagingSlot slot, uint32_t at, uint32_t end) noexcept {
  uint64_t staged = 0;
  bool has_unshared = false;
  uint32_t limit = end;  // shrinks to one page when the kernel refuses the run as a whole
  while (at < end) {
    stats::bump(parts_.counters().evict_moves);
    const fault::PagesResult result = parts_.mapper.move_out(claims.page(at), limit - at, {slot, at});
    staged |= claims.leaving & bits_between(at, at + result.done);
    at += result.done;
    if (result.done > 0) has_unshared = false;
    if (result.status == IoStatus::kDone) {
      limit = end;
      continue;
    }
    if (result.status == IoStatus::kBusy && !has_unshared && (claims.leaving & bit_at(at)) != 0) {
      parts_.mapper.unshare(claims.page(at));
      has_unshared = true;
      continue;
    }
    if (result.status == IoStatus::kRefused && limit - at > 1) {
      limit = at + 1;
      continue;
    }
    stats::bump(result.status == IoStatus::kBusy ? parts_.counters().evict_busy : parts_.counters().evict_unevictable);
    ++at;  // this page stays; the rest of the run goes on
    limit = result.status == IoStatus::kRefused ? std::min(at + 1, end) : end;
    has_unshared = false;
  }
  return staged;
}

void Evictor::release_all(const ClusterClaims& claims, const CopyOut::Outcome& outcome) noexcept {
  ClusterClaims::for_each(claims.all(), [&](uint32_t position) {
    const PageWord owned = claims.owned[position];
    PageWord next = owned;
    if (outcome.staged & bit_at(position)) next = owned.in(kStaged);
    if (outcome.remote & bit_at(position)) next = owned.in(kRemote).with(fault::kHasFrame);
    if (outcome.zeros & bit_at(position)) next = owned.in(kUntouched).without(fault::kHasFrame);
    if (outcome.doubtful & bit_at(position)) next = owned.with(fault::kHasFrame);
    release(parts_.directory.word(claims.page(position)), owned, next);
  });
}

}  // namespace tiara::residency
