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

constexpr uint64_t bit_at(uint32_t position) { return uint64_t{1} << position; }

}  // namespace

struct Evictor::Claims {
  ClusterNumber cluster;
  PageNumber first;
  uint64_t resident = 0;  // positions to evict
  uint64_t holes = 0;     // absent positions held still meanwhile
  PageWord owned[64];
};

uint32_t Evictor::evict_oldest(uint32_t protected_fetches) noexcept {
  for (uint32_t tried = 0; tried < kMostClustersTried; ++tried) {
    const auto victim = order_.try_pop();
    if (!victim) return 0;
    const ClusterNumber cluster = victim->cluster;
    // Before the pages are looked at: whatever becomes resident from here on queues the cluster again.
    parts_.directory.cluster(cluster).clear_queued();
    const uint32_t now = parts_.fetches.load(std::memory_order_relaxed);
    const bool is_fresh = parts_.directory.cluster(cluster).fetches_since_arrival(now) < protected_fetches;
    const Result result = is_fresh ? Result{} : evict(cluster, ~uint64_t{0});
    if (has_pages_here(cluster) && parts_.directory.cluster(cluster).try_mark_queued()) order_.put_back(*victim);
    if (result.staged > 0) return result.staged;
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

Evictor::Result Evictor::evict(ClusterNumber cluster, uint64_t wanted) noexcept {
  fault::ClusterWord& word = parts_.directory.cluster(cluster);
  if (!word.try_lock()) return {0, Stop::kLocked};
  Claims claims;
  claims.cluster = cluster;
  claims.first = parts_.directory.first_page(cluster);
  claim_evictable(claims, wanted);
  // After the claims: see pins.h.
  const uint64_t pinned = claims.resident == 0 ? 0 : pins_.pinned(claims.first, parts_.directory.cluster_pages());
  for (uint64_t rest = claims.resident & pinned; rest != 0; rest &= rest - 1) {
    const auto position = static_cast<uint32_t>(std::countr_zero(rest));
    release(parts_.directory.word(claims.first + PageCount{position}), claims.owned[position], claims.owned[position]);
  }
  claims.resident &= ~pinned;
  if (claims.resident == 0) {
    word.unlock();
    return {};
  }
  StagingSlot slot = word.slot();
  const bool is_new = !slot.is_valid();
  if (is_new) slot = parts_.staging.acquire(cluster);
  if (!slot.is_valid()) {
    release_all(claims, 0);
    word.unlock();
    return {0, Stop::kNoSlot};
  }
  word.set_slot(slot);
  if (unmap_by_ == UnmapBy::kMove) claim_holes(claims);
  const uint64_t staged = unmap_claimed(claims, slot);
  const auto count = static_cast<uint32_t>(std::popcount(staged));
  parts_.staging.mark_populated(slot, staged);
  parts_.account_staged(count);
  parts_.account(kResident, kStaged, count);
  if (count > 0) order_.left(cluster);
  stats::bump(parts_.counters().pages_staged, count);
  release_all(claims, staged);
  if (is_new && count == 0) {
    word.set_slot(StagingSlot{});
    parts_.staging.free(slot);
  } else if (is_new) {
    parts_.staging.push_oldest_last(slot);
  }
  word.unlock();
  return {count, Stop::kNone};
}

void Evictor::claim_evictable(Claims& claims, uint64_t wanted) const noexcept {
  const uint64_t pages = parts_.directory.pages().value;
  for (uint32_t i = 0; i < parts_.directory.cluster_pages() && claims.first.value + i < pages; ++i) {
    if ((wanted & bit_at(i)) == 0) continue;
    fault::AtomicPageWord& word = parts_.directory.word(claims.first + PageCount{i});
    const PageWord seen = load(word);
    if (seen.state() != kResident) continue;
    if (seen.has(fault::kProtected)) stats::bump(parts_.counters().evict_unevictable);
    if (seen.has(fault::kBusy | fault::kNear | fault::kProtected | fault::kForeign | fault::kWriting)) continue;
    const auto owned = try_claim(word, seen);
    if (!owned) continue;
    claims.owned[i] = *owned;
    claims.resident |= bit_at(i);
  }
}

void Evictor::claim_holes(Claims& claims) const noexcept {
  const auto low = static_cast<uint32_t>(std::countr_zero(claims.resident));
  const auto high = 63 - static_cast<uint32_t>(std::countl_zero(claims.resident));
  for (uint32_t i = low + 1; i < high; ++i) {
    if (claims.resident & bit_at(i)) continue;
    fault::AtomicPageWord& word = parts_.directory.word(claims.first + PageCount{i});
    const PageWord seen = load(word);
    if (seen.state() != kUntouched && seen.state() != kRemote) continue;
    if (seen.has(fault::kBusy | fault::kForeign | fault::kProtected)) continue;
    const auto owned = try_claim(word, seen);
    if (!owned) continue;
    claims.owned[i] = *owned;
    claims.holes |= bit_at(i);
  }
}

uint64_t Evictor::unmap_claimed(const Claims& claims, StagingSlot slot) noexcept {
  // Bytes that a discarded or copied-back page left at a position that is needed now. Holes need theirs empty
  // too: MOVE looks at the destination (EEXIST) before it finds that there is nothing to move.
  const uint64_t claimed = claims.resident | claims.holes;
  const uint64_t stale = parts_.staging.populated(slot) & claimed;
  for (uint64_t rest = stale; rest != 0; rest &= rest - 1) {
    const auto position = static_cast<uint32_t>(std::countr_zero(rest));
    parts_.mapper.drop_staged({slot, position}, 1);
    parts_.staging.clear_populated(slot, bit_at(position));
    parts_.account_staged(-1);
  }
  uint64_t staged = 0;
  uint32_t at = 0;
  const uint32_t pages = parts_.directory.cluster_pages();
  while (at < pages) {
    if ((claims.resident & bit_at(at)) == 0) {
      ++at;
      continue;
    }
    uint32_t end = at;  // the run: claimed positions, cut at the last resident one
    uint32_t last = at;
    while (end < pages && (claimed & bit_at(end)) != 0 && end - at < pages_per_call_) {
      if (claims.resident & bit_at(end)) last = end;
      ++end;
    }
    staged |= unmap_run(claims, slot, at, last + 1);
    at = last + 1;
  }
  return staged;
}

uint64_t Evictor::unmap_run(const Claims& claims, StagingSlot slot, uint32_t at, uint32_t end) noexcept {
  uint64_t staged = 0;
  bool has_unshared = false;
  uint32_t limit = end;  // shrinks to one page when the kernel refuses the run as a whole
  while (at < end) {
    const PageNumber page = claims.first + PageCount{at};
    const fault::StagingPlace to{slot, at};
    stats::bump(parts_.counters().evict_moves);
    const fault::PagesResult result = unmap_by_ == UnmapBy::kMove ? parts_.mapper.move_out(page, limit - at, to)
                                                                  : parts_.mapper.copy_out(page, limit - at, to);
    for (uint32_t i = at; i < at + result.done; ++i) staged |= claims.resident & bit_at(i);
    at += result.done;
    if (result.done > 0) has_unshared = false;
    if (result.status == IoStatus::kDone) {
      limit = end;
      continue;
    }
    if (result.status == IoStatus::kBusy && !has_unshared && (claims.resident & bit_at(at)) != 0) {
      parts_.mapper.unshare(claims.first + PageCount{at});
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

void Evictor::release_all(const Claims& claims, uint64_t staged) noexcept {
  for (uint64_t rest = claims.resident | claims.holes; rest != 0; rest &= rest - 1) {
    const auto position = static_cast<uint32_t>(std::countr_zero(rest));
    const PageWord owned = claims.owned[position];
    const PageWord next = (staged & bit_at(position)) != 0 ? owned.in(kStaged) : owned;
    release(parts_.directory.word(claims.first + PageCount{position}), owned, next);
  }
}

}  // namespace tiara::residency
