// The pager: everything between a fault and the node, on any PageMapper and any PageStore.
//
// Residency policy stands here: which pages are here, when they leave, and in which thread that happens. One object
// serves one far address space; FarSpace (far_space.h) gives it real memory, the model test gives it a fake kernel.
#pragma once

#include <atomic>
#include <cstdint>

#include "fault-handler/pager_parts.h"
#include "fault-handler/resolver.h"
#include "runtime/base/config.h"
#include "runtime/residency/budget.h"
#include "runtime/residency/discarder.h"
#include "runtime/residency/evictor.h"
#include "runtime/residency/gate.h"
#include "runtime/residency/page_trace.h"
#include "runtime/residency/pins.h"
#include "runtime/residency/resident_order.h"
#include "runtime/residency/write_back.h"

namespace tiara::residency {

struct PagerOptions {
  LocalBudget local;
  UnmapBy unmap_by = UnmapBy::kMove;
  EvictOn evict_on = EvictOn::kAuto;
  uint32_t evict_cluster = 16;  // pages that leave in one step, 1 to 4096; 0: by copying, what suits the budget
  EvictionPolicy policy = EvictionPolicy::kClock;
  bool readahead = true;
  bool heat = true;  // of no effect with EvictionPolicy::kFifo
  fault::PageTables page_tables = fault::PageTables::kWalked;  // what suits the budget depends on it
  bool second_chance = true;
  WriteBackSwitches write_back;
  std::chrono::nanoseconds contended_bound = std::chrono::seconds(30);  // how long a contended node is asked again
  // Staging slots: virtual space only. Enough that slots which are mostly empty do not run out before the pages do.
  uint32_t staging_slots = 8192;
};

// The bookkeeping's cluster size for an eviction step of `evict_cluster` pages: a power of two in [4, 64], so that a
// cluster's word costs at most a byte a page. Larger steps take neighbouring clusters.
uint32_t directory_cluster_pages(uint32_t evict_cluster);

class Pager final : public fault::Residency {
 public:
  // What a pager is made of; moved into it. `mapper`, `store` and `stats` outlive the pager.
  struct Memory {
    fault::PageDirectory directory;
    fault::Staging staging;
    ResidentOrder order;
    fault::ReplyBuffers replies;
    Pins pins;
    PageHeat heat;
  };
  static Result<Memory> create_memory(PageCount pages, const PagerOptions& options);

  Pager(Memory&& memory, fault::PageMapper& mapper, pagetable::PageStore& store, stats::ProcessStats& stats,
        const PagerOptions& options) noexcept;
  Pager(const Pager&) = delete;

  // --- callers block signals (SignalsBlocked, or a handler's mask) around all of these but pin and unpin ---

  fault::Resolution resolve(PageNumber page) noexcept { return resolver_.resolve(page); }
  void discard(PageRange range, uint32_t set_flags, uint32_t clear_flags) noexcept {
    discarder_.discard(range, set_flags, clear_flags);
  }
  void change_flags(PageRange range, uint32_t set_flags, uint32_t clear_flags) noexcept;
  // Marks the pages of the range that are anywhere (kProtected): from then on no eviction reads them.
  void mark_unreachable(PageRange range) noexcept;
  void make_near(PageRange range) noexcept;
  void release_near(PageRange range) noexcept;
  bool has_flagged(PageRange range, uint32_t flags) const noexcept;

  // Publishes the range, then makes all of it resident; async-signal-safe.
  struct Pinned {
    PinSlot slot;
    bool has_brought_in;  // at least one page was not here
  };
  Pinned pin(PageRange range) noexcept;
  // Of pinned pages: are all of them here, and has the program left them readable and its own alone?
  bool can_read(PageRange range) const noexcept;
  void unpin(PinSlot slot) noexcept { pins_.withdraw(slot); }

  void settle() noexcept override;
  void arrived(PageNumber page, fault::Arrival how) noexcept override;

  // --- for threads of the runtime ---

  // Evicts and writes back until the budget holds with room to spare; returns when there is nothing to do.
  void serve_once() noexcept;
  // Sleeps until serve_once has something to do, at most `bound`.
  void wait_for_work(std::chrono::nanoseconds bound) noexcept;
  bool needs_service_thread() const noexcept { return evicts_on_thread_ || writes_on_thread_; }
  // Takes some page away whatever the budget; `random` decides which. `pages` bounds where to look.
  void take_away_at_random(uint64_t random, PageCount pages) noexcept;

  // --- fork ---

  // Stops eviction and brings every staged page back: afterwards each page is here, untouched, or on the node.
  void hold_still() noexcept;
  void resume() noexcept { gate_.open(); }

  // How pages leave from now on (a cluster that is on its way goes as it was begun).
  void unmap_by(UnmapBy way) noexcept { evictor_.unmap_by(way); }
  // Records every arrival from now on; before any thread faults.
  void record_arrivals(PageTrace trace) noexcept { trace_ = std::move(trace); }

  Gate& gate() noexcept { return gate_; }
  Budget& budget() noexcept { return budget_; }
  const fault::PagerParts& parts() const noexcept { return parts_; }
  fault::Resolver& resolver() noexcept { return resolver_; }
  // Writes everything that is staged to the node. For tests.
  void drain_staging_for_testing() noexcept;
  Bytes metadata() const;

 private:
  bool relieve(uint64_t resident_limit, uint64_t staging_limit) noexcept;
  void stall_until_staging_has_room() noexcept;
  void ask_for_service() noexcept;
  uint64_t staging_limit() const noexcept {
    return options_.second_chance && evictor_.uses_staging() ? budget_.staging_pages() : 0;
  }
  void queue_up(fault::ClusterNumber cluster, fault::Arrival how) noexcept;
  EvictionStep evict_step(uint64_t resident_limit) const noexcept;
  uint64_t resident_limit() const noexcept {
    return evictor_.uses_staging() ? budget_.resident_limit_pages() : budget_.limit_pages();
  }

  const PagerOptions options_;
  Memory memory_;
  Pins& pins_;
  PageHeat* const heat_;  // nullptr: no page stays because it is hot
  std::atomic<uint32_t> fetches_{0};
  const fault::PagerParts parts_;
  fault::Resolver resolver_;
  Evictor evictor_;
  WriteBack write_back_;
  Discarder discarder_;
  Budget budget_;
  Gate gate_;
  PageTrace trace_;
  const bool writes_on_thread_;
  const bool evicts_on_thread_;
  std::atomic<uint32_t> work_{0};      // 1: the service thread is asked for
  std::atomic<uint32_t> progress_{0};  // bumped when staging got room
};

}  // namespace tiara::residency
