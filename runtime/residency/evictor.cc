#include "runtime/residency/evictor.h"

#include <algorithm>
#include <array>
#include <bit>
#include <iterator>
#include <utility>

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
// The same for clusters that had left before their turn, where looking costs a few loads.
constexpr uint32_t kMostLeftEarly = 1024;

}  // namespace

uint32_t Evictor::evict_oldest(uint32_t protected_fetches, EvictionStep step) noexcept {
  uint32_t early = 0;
  for (uint32_t tried = 0; tried < kMostClustersTried && early < kMostLeftEarly;) {
    const auto victim = order_.try_pop();
    if (!victim) return 0;
    const ClusterNumber cluster = victim->cluster;
    fault::ClusterWord& word = parts_.directory.cluster(cluster);
    // Before the pages are looked at: whatever becomes resident from here on queues the cluster again.
    word.clear_queued();
    Result result;
    if (word.take_left_early()) {
      ++early;
    } else {
      ++tried;
      if (!is_fresh(cluster, protected_fetches)) result = evict_victim(*victim, protected_fetches, step);
    }
    if (has_pages_here(cluster) && word.try_mark_queued()) order_.put_back(*victim);
    if (result.evicted > 0) return result.evicted;
    if (result.stop == Stop::kNoSlot) return 0;
  }
  return 0;
}

bool Evictor::is_fresh(ClusterNumber cluster, uint32_t protected_fetches) const noexcept {
  const uint32_t now = parts_.fetches.load(std::memory_order_relaxed);
  return parts_.directory.cluster(cluster).fetches_since_arrival(now) < protected_fetches;
}

bool Evictor::may_leave_along(ClusterNumber cluster, ResidentOrder::Queue from,
                              uint32_t protected_fetches) const noexcept {
  if (is_fresh(cluster, protected_fetches)) return false;
  const fault::ClusterWord& word = parts_.directory.cluster(cluster);
  if (!order_.has_newcomers_apart() || !word.is_queued()) return true;
  // What has earned its place leaves only when its turn comes.
  return from == ResidentOrder::Queue::kProbation && !word.is_established();
}

// Pages that a step over these clusters would take: hot ones stay, and do not make it smaller.
uint32_t Evictor::pages_to_leave(Neighbours clusters) const noexcept {
  const uint64_t pages = parts_.directory.pages().value;
  const PageNumber first = parts_.directory.first_page(ClusterNumber{clusters.first});
  const uint64_t end = std::min(parts_.directory.first_page(ClusterNumber{clusters.end}).value, pages);
  uint32_t count = 0;
  for (PageNumber page = first; page.value < end; page = page + PageCount{1})
    count += load(parts_.directory.word(page)).state() == kResident && !(heat_ != nullptr && heat_->is_hot(page));
  return count;
}

// As many as the step allows, the victim among them.
Evictor::Neighbours Evictor::neighbours_of(ClusterNumber victim, EvictionStep step) const noexcept {
  const auto around = [&](uint32_t wide) {
    const uint32_t first = victim.value & ~(wide - 1);
    return Neighbours{first, std::min(first + wide, parts_.directory.cluster_count())};
  };
  uint32_t wide = std::clamp(step.span_pages / parts_.directory.cluster_pages(), 1u, kMostSpanClusters);
  while (wide > 1 && pages_to_leave(around(wide)) > step.most_pages) wide /= 2;
  return around(wide);
}

// Whose turn it is, and its neighbours, which cost next to nothing more.
Evictor::Result Evictor::evict_victim(ResidentOrder::Victim chosen, uint32_t protected_fetches,
                                      EvictionStep step) noexcept {
  const ClusterNumber victim = chosen.cluster;
  const UnmapBy way = unmap_by();
  const auto [first, end] =
      way == UnmapBy::kCopy ? neighbours_of(victim, step) : Neighbours{victim.value, victim.value + 1};
  std::array<ClusterClaims, kMostSpanClusters> claims;
  uint32_t count = 0;
  for (uint32_t number = first; number < end; ++number) {
    const ClusterNumber cluster{number};
    const bool is_neighbour = number != victim.value;
    claims[count].from = chosen.from;
    if (is_neighbour && !may_leave_along(cluster, chosen.from, protected_fetches)) continue;
    if (!lock_and_claim(claims[count], cluster, ~uint64_t{0}, Hot::kStays, way)) {
      if (!is_neighbour) {
        for (uint32_t i = 0; i < count; ++i) claims[i].staying |= std::exchange(claims[i].leaving, 0);
        (void)evict_claimed({claims.data(), count}, way);
        return {0, Stop::kLocked};
      }
      continue;
    }
    ++count;
  }
  const Result result = evict_claimed({claims.data(), count}, way);
  for (uint32_t i = 0; i < count; ++i) {
    fault::ClusterWord& word = parts_.directory.cluster(claims[i].cluster);
    if (claims[i].cluster != victim && claims[i].leaving != 0 && word.is_queued()) word.mark_left_early();
  }
  return result;
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
  order_.left(claims.cluster, claims.from);
  if (heat_ == nullptr) return;
  const uint64_t resident = parts_.counters().resident_pages.load(std::memory_order_relaxed);
  ClusterClaims::for_each(positions, [&](uint32_t position) { heat_->left(claims.page(position), resident); });
}

Evictor::Result Evictor::evict(ClusterNumber cluster, uint64_t wanted) noexcept {
  const UnmapBy way = unmap_by();
  ClusterClaims claims;
  if (!lock_and_claim(claims, cluster, wanted, Hot::kGoesToo, way)) return {0, Stop::kLocked};
  return evict_claimed({&claims, 1}, way);
}

bool Evictor::lock_and_claim(ClusterClaims& claims, ClusterNumber cluster, uint64_t wanted, Hot hot,
                             UnmapBy way) noexcept {
  if (!parts_.directory.cluster(cluster).try_lock()) return false;
  // A MOVE interrupts the other CPUs once more for each page that it has to step over.
  if (hot == Hot::kStays && heat_ != nullptr && way == UnmapBy::kCopy) wanted &= cold_pages(cluster);
  claims.cluster = cluster;
  claims.first = parts_.directory.first_page(cluster);
  claim_resident(claims, wanted, way);
  leave_pinned(claims);
  return true;
}

// The clusters are locked and their resident pages claimed; both ends here.
Evictor::Result Evictor::evict_claimed(ClaimedSpan span, UnmapBy way) noexcept {
  Result result;
  if (std::ranges::any_of(span, [](const ClusterClaims& claims) { return claims.leaving != 0; })) {
    claim_holes(span, way);
    result = way == UnmapBy::kMove            ? move_to_staging(span.front())
             : parts_.store.is_synchronous() ? copy_to_store(span)
                                             : copy_to_staging(span);
  } else {
    for (const ClusterClaims& claims : span) release_all(claims, {});
  }
  for (const ClusterClaims& claims : span) parts_.directory.cluster(claims.cluster).unlock();
  return result;
}

Evictor::Result Evictor::copy_to_store(ClaimedSpan span) noexcept {
  std::array<CopyOut::Outcome, kMostSpanClusters> outcomes;
  copy_out_.freeze(span);
  for (size_t i = 0; i < span.size(); ++i) outcomes[i] = copy_out_.to_store(span[i]);
  copy_out_.drop_and_thaw(span, {outcomes.data(), span.size()});
  Result result;
  for (size_t i = 0; i < span.size(); ++i) {
    const CopyOut::Outcome& outcome = outcomes[i];
    const auto count = static_cast<uint32_t>(std::popcount(outcome.gone()));
    result.evicted += count;
    note_left(span[i], outcome.gone());
    stats::bump(parts_.counters().pages_stored_directly, count);
    parts_.account(kResident, kRemote, static_cast<uint64_t>(std::popcount(outcome.remote)));
    parts_.account(kResident, kUntouched, static_cast<uint64_t>(std::popcount(outcome.zeros)));
    release_all(span[i], outcome);
  }
  return result;
}

Evictor::Result Evictor::copy_to_staging(ClaimedSpan span) noexcept {
  std::array<CopyOut::Outcome, kMostSpanClusters> outcomes;
  std::array<Slot, kMostSpanClusters> slots;
  Result result;
  for (size_t i = 0; i < span.size(); ++i) {
    if (span[i].leaving == 0) continue;
    slots[i] = take_slot(span[i]);
    if (slots[i].slot.is_valid()) continue;
    // They are ours all the same, so that one call may span them.
    span[i].staying |= std::exchange(span[i].leaving, 0);
    result.stop = Stop::kNoSlot;
  }
  copy_out_.freeze(span);
  for (size_t i = 0; i < span.size(); ++i)
    if (span[i].leaving != 0) outcomes[i] = copy_out_.to_staging(span[i], slots[i].slot);
  copy_out_.drop_and_thaw(span, {outcomes.data(), span.size()});
  for (size_t i = 0; i < span.size(); ++i) {
    const uint64_t staged = outcomes[i].staged;
    result.evicted += static_cast<uint32_t>(std::popcount(staged));
    if (span[i].leaving != 0) account_staged(span[i], slots[i], staged);
    release_all(span[i], outcomes[i]);
    if (span[i].leaving != 0) return_unused(span[i], slots[i], staged);
  }
  return result;
}

Evictor::Result Evictor::move_to_staging(ClusterClaims& claims) noexcept {
  const Slot slot = take_slot(claims);
  if (!slot.slot.is_valid()) {
    release_all(claims, {});
    return {0, Stop::kNoSlot};
  }
  CopyOut::Outcome outcome;
  outcome.staged = move_claimed(claims, slot.slot);
  account_staged(claims, slot, outcome.staged);
  release_all(claims, outcome);
  return_unused(claims, slot, outcome.staged);
  return {static_cast<uint32_t>(std::popcount(outcome.staged)), Stop::kNone};
}

Evictor::Slot Evictor::take_slot(const ClusterClaims& claims) noexcept {
  fault::ClusterWord& word = parts_.directory.cluster(claims.cluster);
  Slot taken{word.slot()};
  taken.is_new = !taken.slot.is_valid();
  if (taken.is_new) taken.slot = parts_.staging.acquire(claims.cluster);
  if (!taken.slot.is_valid()) return taken;
  word.set_slot(taken.slot);
  drop_stale(claims, taken.slot);
  return taken;
}

void Evictor::account_staged(const ClusterClaims& claims, Slot slot, uint64_t staged) noexcept {
  const auto count = static_cast<uint32_t>(std::popcount(staged));
  parts_.staging.mark_populated(slot.slot, staged);
  parts_.account_staged(count);
  parts_.account(kResident, kStaged, count);
  note_left(claims, staged);
  stats::bump(parts_.counters().pages_staged, count);
}

// A slot that is new is freed if nothing came into it, and else queued for write-back.
void Evictor::return_unused(const ClusterClaims& claims, Slot slot, uint64_t staged) noexcept {
  if (!slot.is_new) return;
  if (staged != 0) {
    parts_.staging.push_oldest_last(slot.slot);
    return;
  }
  parts_.directory.cluster(claims.cluster).set_slot(StagingSlot{});
  parts_.staging.free(slot.slot);
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

// All absent pages from the first that leaves to the last.
void Evictor::claim_holes(ClaimedSpan span, UnmapBy way) const noexcept {
  const auto leaves = [](const ClusterClaims& claims) { return claims.leaving != 0; };
  const auto first = std::ranges::find_if(span, leaves);
  auto last = span.end();
  while (!leaves(*std::prev(last))) --last;
  for (auto claims = first; claims != last; ++claims) {
    const uint32_t from = claims == first ? static_cast<uint32_t>(std::countr_zero(claims->leaving)) : 0;
    const uint32_t to = claims == std::prev(last) ? 64 - static_cast<uint32_t>(std::countl_zero(claims->leaving))
                                                  : parts_.directory.cluster_pages();
    claim_holes_between(*claims, from, to, way);
  }
}

void Evictor::claim_holes_between(ClusterClaims& claims, uint32_t from, uint32_t to, UnmapBy way) const noexcept {
  for (uint32_t i = from; i < to && claims.page(i).value < parts_.directory.pages().value; ++i) {
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
