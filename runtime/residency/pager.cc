#include "runtime/residency/pager.h"

#include <algorithm>
#include <bit>
#include <chrono>

#include "fault-handler/service_thread.h"
#include "runtime/base/check.h"
#include "runtime/os/futex.h"

namespace tiara::residency {
namespace {

using fault::ClusterNumber;
using fault::PageState;
using fault::PageWord;
using fault::claim_slow;
using fault::load;
using fault::release;
using fault::try_claim;
using fault::wait_for_change;

// Pages that one write-back step in a faulting thread takes out of staging: enough to share the dropping call and
// the look at the queue, few enough that the one fault that pays for it stays under 50 us on a synchronous store.
constexpr uint64_t kWriteBackBatch = 32;
// Steps of one settle(): a fault adds at most 64 pages, and each step takes away at least one.
constexpr int kMostSteps = 64;

}  // namespace

uint32_t directory_cluster_pages(uint32_t evict_cluster) {
  return evict_cluster == 0 ? 64 : std::clamp(std::bit_ceil(evict_cluster), 4u, 64u);
}

Result<Pager::Memory> Pager::create_memory(PageCount pages, const PagerOptions& options) {
  const uint32_t cluster = directory_cluster_pages(options.evict_cluster);
  TIARA_TRY(fault::PageDirectory directory, fault::PageDirectory::create(pages, cluster));
  TIARA_TRY(fault::Staging staging, fault::Staging::create(options.staging_slots, cluster));
  TIARA_TRY(ResidentOrder order, ResidentOrder::create(directory.cluster_count(), options.policy));
  TIARA_TRY(fault::ReplyBuffers replies, fault::ReplyBuffers::create());
  TIARA_TRY(Pins pins, Pins::create());
  TIARA_TRY(PageHeat heat, PageHeat::create(pages));
  return Memory{std::move(directory), std::move(staging), std::move(order), std::move(replies), std::move(pins),
                std::move(heat)};
}

Pager::Pager(Memory&& memory, fault::PageMapper& mapper, pagetable::PageStore& store, stats::ProcessStats& stats,
             const PagerOptions& options) noexcept
    : options_(options), memory_(std::move(memory)), pins_(memory_.pins),
      heat_(options.heat && options.policy != EvictionPolicy::kFifo ? &memory_.heat : nullptr),
      parts_{memory_.directory, memory_.staging, mapper, store, memory_.replies, stats, fetches_,
             options.contended_bound},
      resolver_(parts_, *this, options.readahead ? fault::Resolver::Ahead::kOn : fault::Resolver::Ahead::kOff),
      evictor_(parts_, pins_, memory_.order, heat_, options.unmap_by,
               options.evict_cluster == 0 ? 64 * kMostSpanClusters : options.evict_cluster,
               options.write_back),
      write_back_(parts_, options.write_back), discarder_(parts_),
      budget_(options.local, memory_.directory.cluster_pages(), stats),
      // Network write-back never waits in a miss; a store that answers at once is cheaper than a thread switch.
      writes_on_thread_(options.evict_on == EvictOn::kDedicatedThread ||
                        (options.evict_on == EvictOn::kAuto && !store.is_synchronous())),
      // A MOVE on another CPU interrupts the faulting one: unmapping stays in the faulting thread unless asked.
      evicts_on_thread_(options.evict_on == EvictOn::kDedicatedThread) {}

void Pager::settle() noexcept {
  const uint64_t resident_limit = this->resident_limit();
  if (resident_limit == Budget::kUnlimited) return;
  const uint64_t staging_limit = this->staging_limit();
  const stats::Counters& counters = parts_.counters();
  if (counters.resident_pages.load(std::memory_order_relaxed) <= resident_limit &&
      counters.staged_pages.load(std::memory_order_relaxed) <= staging_limit)
    return;
  if (!gate_.try_enter()) return;
  const bool must_stall = relieve(resident_limit, staging_limit);
  gate_.leave();
  if (must_stall) stall_until_staging_has_room();
}

EvictionStep Pager::evict_step(uint64_t resident_limit) const noexcept {
  if (options_.evict_cluster != 0) return {options_.evict_cluster, options_.evict_cluster};
  return automatic_step(resident_limit, staging_limit(), parts_.directory.cluster_pages(), options_.page_tables);
}

void Pager::arrived(PageNumber page, fault::Arrival how) noexcept {
  const ClusterNumber cluster = parts_.directory.cluster_of(page);
  fault::ClusterWord& word = parts_.directory.cluster(cluster);
  word.set_arrival(fetches_.load(std::memory_order_relaxed));
  if (word.try_mark_queued()) queue_up(cluster, how);
  if (heat_ != nullptr) {
    if (how == fault::Arrival::kNew) heat_->forget(page);
    else heat_->returned(page);
  }
  if (trace_.is_recording()) trace_.record(page, how);
}

void Pager::queue_up(ClusterNumber cluster, fault::Arrival how) noexcept {
  const ResidentOrder::Queue queue = memory_.order.push(cluster, how);
  if (memory_.order.has_newcomers_apart())
    parts_.directory.cluster(cluster).set_established(queue == ResidentOrder::Queue::kMain);
}

// Returns true when staging is so full that this thread has to wait for the service thread.
bool Pager::relieve(uint64_t resident_limit, uint64_t staging_limit) noexcept {
  const stats::Counters& counters = parts_.counters();
  // How far the service thread may fall behind before faults do its work or wait.
  const uint64_t slack = std::clamp<uint64_t>(resident_limit / 16, 64, fault::Staging::kFrames / 4);
  for (int step = 0; step < kMostSteps; ++step) {
    const uint64_t resident = counters.resident_pages.load(std::memory_order_relaxed);
    const uint64_t staged = counters.staged_pages.load(std::memory_order_relaxed);
    if (staged > staging_limit) {
      if (!writes_on_thread_) {
        if (write_back_.drain(kWriteBackBatch) == 0 && resident <= resident_limit) return false;
      } else {
        ask_for_service();
        if (staged > 2 * staging_limit + slack) return true;
      }
    }
    if (resident <= resident_limit) return false;
    if (evicts_on_thread_ && resident <= resident_limit + slack) {
      ask_for_service();
      return false;
    }
    if (evictor_.evict_oldest(budget_.protected_fetches(), evict_step(resident_limit)) == 0) {
      // Everything is pinned, near or on its way; or no staging slot is free.
      if (writes_on_thread_) ask_for_service();
      else if (staged > 0) (void)write_back_.drain(kWriteBackBatch);
      return false;
    }
  }
  return false;
}

void Pager::stall_until_staging_has_room() noexcept {
  stats::bump(parts_.counters().staging_stalls);
  // Bounded by the store: its calls end, or end the process. The slices only bound a lost wake-up.
  while (!gate_.is_closed()) {
    const uint32_t seen = progress_.load(std::memory_order_acquire);
    const uint64_t staged = parts_.counters().staged_pages.load(std::memory_order_relaxed);
    if (staged <= 2 * staging_limit()) return;
    ask_for_service();
    (void)os::futex_wait(progress_, seen, std::chrono::milliseconds(5), os::FutexScope::kPrivate);
  }
}

void Pager::ask_for_service() noexcept {
  if (work_.load(std::memory_order_relaxed) != 0) return;
  // Release: pairs with wait_for_work().
  if (work_.exchange(1, std::memory_order_acq_rel) == 0) os::futex_wake_one(work_, os::FutexScope::kPrivate);
}

void Pager::wait_for_work(std::chrono::nanoseconds bound) noexcept {
  if (work_.load(std::memory_order_acquire) == 0)
    (void)os::futex_wait(work_, 0, bound, os::FutexScope::kPrivate);
  work_.store(0, std::memory_order_release);
}

void Pager::serve_once() noexcept {
  const stats::Counters& counters = parts_.counters();
  for (;;) {
    if (!gate_.try_enter()) return;
    const uint64_t resident_limit = this->resident_limit();
    const uint64_t staging_limit = this->staging_limit();
    bool is_done = true;
    // A little below the limits, so that faults find room and one wake-up serves many.
    if (evicts_on_thread_ && resident_limit != Budget::kUnlimited &&
        counters.resident_pages.load(std::memory_order_relaxed) > resident_limit - resident_limit / 32)
      is_done = evictor_.evict_oldest(budget_.protected_fetches(), evict_step(resident_limit)) == 0;
    if (counters.staged_pages.load(std::memory_order_relaxed) > staging_limit - staging_limit / 4) {
      const uint64_t left = write_back_.drain(kWriteBackBatch * 2);
      if (left > 0) is_done = false;
      progress_.fetch_add(1, std::memory_order_release);
      os::futex_wake_all(progress_, os::FutexScope::kPrivate);
    }
    gate_.leave();
    if (is_done) return;
  }
}

void Pager::take_away_at_random(uint64_t random, PageCount pages) noexcept {
  if (pages.value == 0 || !gate_.try_enter()) return;
  // A sparse space has few resident clusters: look at some before giving up.
  const uint32_t clusters = parts_.directory.cluster_of(PageNumber{pages.value - 1}).value + 1;
  uint64_t state = random | 1;
  for (int look = 0; look < 16; ++look) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    const uint64_t positions = state * 0x9E3779B97F4A7C15u;
    const ClusterNumber cluster{static_cast<uint32_t>((state >> 20) % clusters)};
    const Evictor::Result taken = evictor_.evict(cluster, positions);
    if (taken.evicted == 0) continue;
    stats::bump(parts_.counters().chaos_evictions, taken.evicted);
    break;
  }
  // Often all the way to the node, else every such page would be found in staging.
  if ((random >> 60) < 8 || parts_.counters().staged_pages.load(std::memory_order_relaxed) > budget_.staging_pages())
    (void)write_back_.drain(kWriteBackBatch);
  gate_.leave();
}

void Pager::change_flags(PageRange range, uint32_t set_flags, uint32_t clear_flags) noexcept {
  for (PageNumber page = range.first; page < range.end(); page = page + PageCount{1}) {
    fault::AtomicPageWord& word = parts_.directory.word(page);
    const PageWord seen = load(word);
    if ((seen.raw() & set_flags) == set_flags && !seen.has(clear_flags)) continue;
    const PageWord owned = claim_slow(word);
    release(word, owned, owned.with(set_flags).without(clear_flags));
  }
}

void Pager::mark_unreachable(PageRange range) noexcept {
  for (PageNumber page = range.first; page < range.end(); page = page + PageCount{1}) {
    fault::AtomicPageWord& word = parts_.directory.word(page);
    const PageWord seen = load(word);
    // Nothing was ever there: not marked, so that sparse ranges cost no metadata.
    if (seen.has(fault::kProtected) || (seen.state() == PageState::kUntouched && !seen.has(fault::kBusy))) continue;
    const PageWord owned = claim_slow(word);
    release(word, owned, owned.with(fault::kProtected));
  }
}

bool Pager::has_flagged(PageRange range, uint32_t flags) const noexcept {
  for (PageNumber page = range.first; page < range.end(); page = page + PageCount{1})
    if (load(parts_.directory.word(page)).has(flags)) return true;
  return false;
}

void Pager::make_near(PageRange range) noexcept {
  change_flags(range, fault::kNear, 0);
  for (PageNumber page = range.first; page < range.end();) {
    const uint64_t ahead = std::min<uint64_t>(64, (range.end() - page).value);
    const uint32_t done = resolver_.bring_in(page, static_cast<uint32_t>(ahead));
    page = page + PageCount{std::max(done, 1u)};
  }
}

void Pager::release_near(PageRange range) noexcept {
  change_flags(range, 0, fault::kNear);
  for (PageNumber page = range.first; page < range.end(); page = page + PageCount{1}) {
    if (load(parts_.directory.word(page)).state() != PageState::kResident) continue;
    const ClusterNumber cluster = parts_.directory.cluster_of(page);
    if (parts_.directory.cluster(cluster).try_mark_queued()) queue_up(cluster, fault::Arrival::kNew);
  }
}

Pager::Pinned Pager::pin(PageRange range) noexcept {
  Pinned pinned{pins_.publish(range), false};
  stats::bump(parts_.counters().pins);
  for (PageNumber page = range.first; page < range.end(); page = page + PageCount{1}) {
    // After the publication: see pins.h.
    const PageWord seen = load(parts_.directory.word(page));
    if (seen.has(fault::kForeign)) continue;
    if (seen.state() == PageState::kResident && !seen.has(fault::kBusy)) continue;
    const fault::SignalsBlocked blocked;
    const auto ahead = static_cast<uint32_t>(std::min<uint64_t>(64, (range.end() - page).value));
    stats::bump(parts_.counters().pin_faults, resolver_.bring_in(page, ahead));
    pinned.has_brought_in = true;
  }
  return pinned;
}

bool Pager::can_read(PageRange range) const noexcept {
  for (PageNumber page = range.first; page < range.end(); page = page + PageCount{1}) {
    const PageWord seen = load(parts_.directory.word(page));
    if (seen.state() != PageState::kResident || seen.has(fault::kProtected | fault::kForeign)) return false;
  }
  return true;
}

void Pager::hold_still() noexcept {
  gate_.close();
  for (uint32_t slot = 0; slot < parts_.staging.slots(); ++slot) {
    const fault::StagingSlot at{slot};
    for (uint64_t rest = parts_.staging.populated(at); rest != 0; rest &= rest - 1) {
      const auto position = static_cast<uint32_t>(std::countr_zero(rest));
      const PageNumber page = parts_.directory.first_page(parts_.staging.owner(at)) + PageCount{position};
      if (load(parts_.directory.word(page)).state() == PageState::kStaged) (void)resolver_.bring_in(page, 1);
    }
  }
}

void Pager::drain_staging_for_testing() noexcept {
  while (parts_.staging.queued() > 0) (void)write_back_.drain(UINT64_MAX);
}

Bytes Pager::metadata() const {
  return parts_.directory.resident_bytes() + memory_.order.resident_bytes() + memory_.heat.resident_bytes();
}

}  // namespace tiara::residency
