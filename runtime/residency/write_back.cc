#include "runtime/residency/write_back.h"

#include <array>
#include <bit>

#include "fault-handler/contention.h"
#include "fault-handler/stop.h"
#include "runtime/base/check.h"
#include "runtime/residency/cluster_claims.h"

namespace tiara::residency {
namespace {

using fault::PageState;
using fault::PageWord;
using fault::claim_slow;
using fault::load;
using fault::release;
using fault::try_claim;
using fault::wait_for_change;
using pagetable::StoreStatus;
using enum fault::PageState;

}  // namespace

struct WriteBack::Job {
  fault::StagingSlot slot;
  fault::ClusterNumber cluster;
  PageNumber first;
  uint64_t writing = 0;  // positions that are ours to empty: in state WritingBack with kWriting
  uint64_t framed = 0;   // those of them that have a frame on the node
  uint64_t zeros = 0;    // all zeros: no frame needed
  uint64_t changed = 0;  // must travel
  std::array<ContentHash, 64> hashes;
  std::array<const std::byte*, 64> bytes;
  pagetable::PageStore::PendingWrite pending;
  StoreStatus status = StoreStatus::kOk;  // of a write that was not pipelined
};

uint64_t WriteBack::drain(uint64_t pages) noexcept {
  std::array<Job, kDepth> jobs;
  uint32_t count = 0;
  uint64_t populated = 0;
  // Slots whose cluster is being evicted right now go back to the end of the queue: one look at each is enough.
  uint64_t looks = parts_.staging.queued();
  while (count < kDepth && populated < pages && looks-- > 0) {
    const auto slot = parts_.staging.try_pop_oldest();
    if (!slot) break;
    jobs[count] = Job{};
    jobs[count].slot = *slot;
    if (!begin(jobs[count])) {
      parts_.staging.push_oldest_last(*slot);
      continue;
    }
    populated += static_cast<uint64_t>(std::popcount(parts_.staging.populated(*slot)));
    ++count;
  }
  for (uint32_t i = 0; i < count; ++i) finish(jobs[i]);
  return drop_and_free(jobs.data(), count);
}

bool WriteBack::begin(Job& job) noexcept {
  job.cluster = parts_.staging.owner(job.slot);
  if (!parts_.directory.cluster(job.cluster).try_lock()) return false;
  job.first = parts_.directory.first_page(job.cluster);
  for (uint64_t rest = parts_.staging.populated(job.slot); rest != 0; rest &= rest - 1) {
    const auto position = static_cast<uint32_t>(std::countr_zero(rest));
    fault::AtomicPageWord& word = parts_.directory.word(job.first + PageCount{position});
    for (;;) {
      const PageWord seen = load(word);
      if (seen.has(fault::kBusy)) {  // a fault takes it back, or a discard drops it: a moment
        wait_for_change(word, seen);
        continue;
      }
      if (seen.state() != kStaged) break;  // only its bytes were left here
      const auto owned = try_claim(word, seen);
      if (!owned) continue;
      release(word, *owned, owned->in(kWritingBack).with(fault::kWriting));
      job.writing |= bit_at(position);
      if (seen.has(fault::kHasFrame)) job.framed |= bit_at(position);
      break;
    }
  }
  classify(job);
  send(job);
  return true;
}

void WriteBack::classify(Job& job) noexcept {
  for (uint64_t rest = job.writing; rest != 0; rest &= rest - 1) {
    const auto position = static_cast<uint32_t>(std::countr_zero(rest));
    const std::byte* bytes = parts_.staged_bytes({job.slot, position});
    const ContentHash hash = hash_page(bytes);
    job.hashes[position] = hash;
    const bool is_known = (job.framed & bit_at(position)) != 0 &&
                          parts_.directory.hash(job.first + PageCount{position}) == hash;
    if (switches_.clean_detection && is_known) {
      stats::bump(parts_.counters().clean_drops);
    } else if (switches_.zero_detection && hash == zero_page_hash()) {
      job.zeros |= bit_at(position);
      stats::bump(parts_.counters().zero_pages);
    } else {
      job.bytes[static_cast<uint32_t>(std::popcount(job.changed))] = bytes;
      job.changed |= bit_at(position);
    }
  }
}

void WriteBack::send(Job& job) noexcept {
  discard_frames(job, job.zeros & job.framed);
  if (job.changed == 0) return;
  const auto count = static_cast<uint64_t>(std::popcount(job.changed));
  const std::span<const std::byte* const> pages(job.bytes.data(), count);
  stats::bump(parts_.counters().write_invocations);
  stats::bump(parts_.counters().pages_written, count);
  stats::bump(parts_.counters().written_bytes, count << kPageShift);
  job.pending = parts_.store.post_write({job.first, job.changed}, pages);
  if (!job.pending.is_valid()) job.status = parts_.store.write({job.first, job.changed}, pages);
}

void WriteBack::discard_frames(const Job& job, uint64_t positions) noexcept {
  while (positions != 0) {
    const auto at = static_cast<uint32_t>(std::countr_zero(positions));
    const auto length = static_cast<uint32_t>(std::countr_one(positions >> at));
    const PageRange range{job.first + PageCount{at}, PageCount{length}};
    const StoreStatus status =
        fault::retry_contended(parts_.contended_bound, [&]() noexcept { return parts_.store.discard(range); });
    if (status != StoreStatus::kOk) fault::stop_for_store(parts_.stats, status, "discarding", range.first);
    positions &= length == 64 ? 0 : ~(((uint64_t{1} << length) - 1) << at);
  }
}

void WriteBack::finish(Job& job) noexcept {
  if (job.pending.is_valid()) job.status = parts_.store.collect(job.pending);
  if (job.status == StoreStatus::kContended)  // the bytes are still here
    job.status = fault::retry_contended(parts_.contended_bound, [&]() noexcept {
      const auto count = static_cast<uint64_t>(std::popcount(job.changed));
      return parts_.store.write({job.first, job.changed}, {job.bytes.data(), count});
    });
  if (job.status != StoreStatus::kOk) fault::stop_for_store(parts_.stats, job.status, "writing back", job.first);
  for (uint64_t rest = job.writing; rest != 0; rest &= rest - 1) {
    const auto position = static_cast<uint32_t>(std::countr_zero(rest));
    const PageNumber page = job.first + PageCount{position};
    fault::AtomicPageWord& word = parts_.directory.word(page);
    const PageWord owned = claim_slow(word);  // a fault may be copying it back: a moment
    const bool is_zero = (job.zeros & bit_at(position)) != 0;
    parts_.directory.hash(page) = is_zero ? 0 : job.hashes[position];
    PageWord next = is_zero ? owned.without(fault::kHasFrame) : owned.with(fault::kHasFrame);
    if (owned.state() == kWritingBack) {
      next = next.in(is_zero ? kUntouched : kRemote);
      parts_.account(kWritingBack, next.state(), 1);
    } else {
      TIARA_CHECK(owned.state() == kResident);
    }
    release(word, owned, next.without(fault::kWriting));
  }
}

uint64_t WriteBack::drop_and_free(Job* jobs, uint32_t count) noexcept {
  uint64_t dropped = 0;
  uint32_t from = 0;
  while (from < count) {
    // Neighbouring slots are dropped by one call: what lies between their bytes is empty.
    uint32_t to = from;
    while (to + 1 < count && jobs[to + 1].slot.value == jobs[to].slot.value + 1) ++to;
    const uint32_t cluster_pages = parts_.directory.cluster_pages();
    uint32_t lowest = UINT32_MAX;
    uint32_t highest = 0;
    for (uint32_t i = from; i <= to; ++i) {
      const uint64_t populated = parts_.staging.populated(jobs[i].slot);
      dropped += static_cast<uint64_t>(std::popcount(populated));
      const uint64_t positions = populated & ~parts_.staging.copied(jobs[i].slot);
      parts_.staging.drop_copies(jobs[i].slot, populated);
      if (positions == 0) continue;
      const uint32_t base = (i - from) * cluster_pages;
      lowest = std::min(lowest, base + static_cast<uint32_t>(std::countr_zero(positions)));
      highest = base + 63 - static_cast<uint32_t>(std::countl_zero(positions));
    }
    if (lowest != UINT32_MAX) {
      const fault::StagingPlace place{{jobs[from].slot.value + lowest / cluster_pages}, lowest % cluster_pages};
      parts_.mapper.drop_staged(place, highest - lowest + 1);
    }
    from = to + 1;
  }
  parts_.account_staged(-static_cast<int64_t>(dropped));
  for (uint32_t i = 0; i < count; ++i) {
    fault::ClusterWord& word = parts_.directory.cluster(jobs[i].cluster);
    parts_.staging.clear_populated(jobs[i].slot, ~uint64_t{0});
    word.set_slot(fault::StagingSlot{});
    parts_.staging.free(jobs[i].slot);
    word.unlock();
  }
  return dropped;
}

}  // namespace tiara::residency
