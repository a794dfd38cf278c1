#include "runtime/residency/copy_out.h"

#include <algorithm>
#include <array>
#include <sched.h>
#include <utility>

#include "fault-handler/contention.h"
#include "fault-handler/stop.h"
#include "runtime/base/check.h"

namespace tiara::residency {
namespace {

using fault::IoStatus;
using pagetable::StoreStatus;

// Tries at a node whose free list other writers keep winning, before the pages stay here for another round. The store
// itself has tried 64 times behind each.
constexpr int kContendedTries = 16;

}  // namespace

bool CopyOut::freeze_run(ClaimedSpan span, PageNumber first, uint32_t count) noexcept {
  stats::bump(parts_.counters().evict_moves);
  const IoStatus status = parts_.mapper.freeze(first, count);
  if (status != IoStatus::kDone) {
    if (count == 1)
      stats::bump(status == IoStatus::kBusy ? parts_.counters().evict_busy : parts_.counters().evict_unevictable);
    return false;
  }
  const uint64_t end = first.value + count;
  for (ClusterClaims& claims : span) {
    const uint64_t from = std::max(first.value, claims.first.value);
    const uint64_t to = std::min(end, claims.first.value + parts_.directory.cluster_pages());
    if (from >= to) continue;
    claims.frozen |= bits_between(static_cast<uint32_t>(from - claims.first.value),
                                  static_cast<uint32_t>(to - claims.first.value));
  }
  return true;
}

// Absent positions count as frozen: there is nothing to write to.
void CopyOut::freeze(ClaimedSpan span) noexcept {
  const auto all = [](const ClusterClaims& claims) { return claims.all(); };
  const auto leaving = [](const ClusterClaims& claims) { return claims.leaving; };
  for_each_run(span, all, leaving, [&](PageNumber first, uint32_t pages) {
    for (uint32_t at = 0; at < pages; at += pages_per_call_) {
      const PageNumber from = first + PageCount{at};
      const uint32_t count = std::min(pages - at, pages_per_call_);
      if (freeze_run(span, from, count) || count == 1) continue;
      // The run spans mappings that the kernel keeps apart, or holds a page that cannot be frozen: one by one.
      for (const ClusterClaims& claims : span)
        ClusterClaims::for_each(claims.leaving, [&](uint32_t position) {
          const PageNumber page = claims.page(position);
          if (page >= from && page < from + PageCount{count}) (void)freeze_run(span, page, 1);
        });
    }
  });
}

void CopyOut::drop_and_thaw(std::span<const ClusterClaims> span, std::span<const Outcome> outcomes) noexcept {
  TIARA_DCHECK(span.size() == outcomes.size());
  const auto gone = [&](const ClusterClaims& claims) {
    return outcomes[static_cast<size_t>(&claims - span.data())].gone();
  };
  // Absent pages between those that go are ours: one call may span them.
  const auto spanned = [&](const ClusterClaims& claims) { return gone(claims) | claims.holes; };
  std::array<fault::PageRun, 64> runs;
  size_t count = 0;
  const auto drop = [&] { parts_.mapper.drop_runs({runs.data(), std::exchange(count, 0)}); };
  for_each_run(span, spanned, gone, [&](PageNumber first, uint32_t pages) {
    for (uint32_t at = 0; at < pages; at += pages_per_call_) {
      if (count == runs.size()) drop();
      runs[count++] = {first + PageCount{at}, std::min(pages - at, pages_per_call_)};
    }
  });
  drop();
  const auto kept = [&](const ClusterClaims& claims) {
    return claims.frozen & (claims.leaving | claims.staying) & ~gone(claims);
  };
  // Nothing is mapped at what is gone by now: one call may span that too.
  const auto all = [](const ClusterClaims& claims) { return claims.all(); };
  for_each_run(span, all, kept, [&](PageNumber first, uint32_t pages) { parts_.mapper.thaw(first, pages); });
}

CopyOut::Outcome CopyOut::to_staging(const ClusterClaims& claims, fault::StagingSlot slot) noexcept {
  Outcome outcome;
  for (uint64_t rest = claims.leaving & claims.frozen; rest != 0; rest &= rest - 1) {
    const auto position = static_cast<uint32_t>(std::countr_zero(rest));
    // No frame free: write-back is far behind, and the rest stays until it has caught up.
    if (!parts_.staging.copy_in(slot, position, parts_.mapper.frozen_bytes(claims.page(position)))) break;
    outcome.staged |= bit_at(position);
  }
  return outcome;
}

CopyOut::Outcome CopyOut::to_store(const ClusterClaims& claims) noexcept {
  const uint64_t leaving = claims.leaving & claims.frozen;
  uint64_t clean = 0;
  uint64_t zeros = 0;
  std::array<ContentHash, 64> hashes;
  ClusterClaims::for_each(leaving, [&](uint32_t position) {
    const PageNumber page = claims.page(position);
    hashes[position] = hash_page(parts_.mapper.frozen_bytes(page));
    const bool is_known = claims.owned[position].has(fault::kHasFrame) &&
                          parts_.directory.hash(page) == hashes[position];
    if (switches_.clean_detection && is_known) clean |= bit_at(position);
    else if (switches_.zero_detection && hashes[position] == zero_page_hash()) zeros |= bit_at(position);
  });
  uint64_t changed = leaving & ~clean & ~zeros;
  forget_frames(claims, zeros);
  // Stored before anything is dropped: whatever happens, the bytes are somewhere.
  uint64_t doubtful = 0;
  if (changed != 0 && !store_changed(claims, changed)) std::swap(changed, doubtful);
  stats::bump(parts_.counters().clean_drops, static_cast<uint64_t>(std::popcount(clean)));
  stats::bump(parts_.counters().zero_pages, static_cast<uint64_t>(std::popcount(zeros)));
  ClusterClaims::for_each(changed, [&](uint32_t position) {
    parts_.directory.hash(claims.page(position)) = hashes[position];
  });
  // A doubtful page has no content recorded, so that it never passes for clean.
  ClusterClaims::for_each(zeros | doubtful,
                          [&](uint32_t position) { parts_.directory.hash(claims.page(position)) = 0; });
  return {0, clean | changed, zeros, doubtful};
}

// False when the node is contended for now: what it got is as good as unwritten, and written again later.
bool CopyOut::store_changed(const ClusterClaims& claims, uint64_t changed) noexcept {
  std::array<const std::byte*, 64> bytes;
  uint32_t count = 0;
  ClusterClaims::for_each(changed, [&](uint32_t position) {
    bytes[count++] = parts_.mapper.frozen_bytes(claims.page(position));
  });
  const pagetable::PageBatch batch{claims.first, changed};
  StoreStatus status = StoreStatus::kContended;
  for (int tries = 0; tries < kContendedTries && status == StoreStatus::kContended; ++tries) {
    if (tries > 0) sched_yield();
    status = parts_.store.write(batch, {bytes.data(), count});
  }
  if (status == StoreStatus::kContended) return false;
  if (status != StoreStatus::kOk) fault::stop_for_store(parts_.stats, status, "writing back", claims.first);
  stats::bump(parts_.counters().write_invocations);
  stats::bump(parts_.counters().pages_written, count);
  stats::bump(parts_.counters().written_bytes, uint64_t{count} << kPageShift);
  return true;
}

void CopyOut::forget_frames(const ClusterClaims& claims, uint64_t positions) noexcept {
  uint64_t framed = 0;
  ClusterClaims::for_each(positions, [&](uint32_t position) {
    if (claims.owned[position].has(fault::kHasFrame)) framed |= bit_at(position);
  });
  ClusterClaims::for_each_run(framed, framed, [&](uint32_t from, uint32_t to) {
    const PageRange range{claims.page(from), PageCount{to - from}};
    const StoreStatus status =
        fault::retry_contended(parts_.contended_bound, [&]() noexcept { return parts_.store.discard(range); });
    if (status != StoreStatus::kOk) fault::stop_for_store(parts_.stats, status, "discarding", range.first);
  });
}

}  // namespace tiara::residency
