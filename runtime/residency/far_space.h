// A pager on real memory: the reserved address range, its userfaultfd, the staging range, the threads.
//
// FarMemory is the process-wide facade over one of these; tests make several. Never destroyed.
#pragma once

#include <atomic>
#include <optional>
#include <span>

#include "fault-handler/delivery_message.h"
#include "fault-handler/page_mapper.h"
#include "fault-handler/signal_stacks.h"
#include "fault-handler/userfaultfd.h"
#include "pagetable/page_store.h"
#include "runtime/base/config.h"
#include "runtime/residency/far_memory.h"
#include "runtime/residency/keeper.h"
#include "runtime/residency/lock.h"
#include "runtime/residency/pager.h"
#include "runtime/residency/range_allocator.h"

namespace tiara::residency {

// What is settled before anything is reserved: how faults arrive and how pages leave on this kernel and machine.
struct KernelChoice {
  fault::Delivery delivery = fault::Delivery::kSignal;
  UnmapBy unmap_by = UnmapBy::kMove;
  fault::PageTables page_tables = fault::PageTables::kWalked;
  bool has_write_protect = true;
  bool has_move = true;
  // Copying ends when the program turns to devices.
  bool may_turn_to_move = false;
};
// What `config` asks for, as far as this kernel has it; an error names what is missing.
Result<KernelChoice> choose_for_kernel(const Config& config);
// What a pager holds open of the kernel; opened before privileges are dropped.
struct KernelAccess {
  fault::Userfaultfd uffd;
  fault::Pagemap pagemap;
  // Both are the parent's, in a forked child that has closed them: never to be closed by their owners again.
  void forget() noexcept {
    (void)uffd.release().release();
    (void)pagemap.release().release();
  }
};
Result<KernelAccess> open_for(const KernelChoice& choice);

// Runs about once a second in a thread of ours.
struct Housekeeping {
  void (*run)(void*) = nullptr;
  void* context = nullptr;
};

class FarSpace {
 public:
  // `store`'s page numbers are below `max_pages`; the reservation may be smaller. `store` and `stats` are borrowed
  // for ever. Threads are started by start_threads().
  static Result<FarSpace*> create(const Config& config, const KernelChoice& choice, KernelAccess kernel,
                                  pagetable::PageStore& store, PageCount max_pages, stats::ProcessStats& stats);
  // In a forked child: far memory of its own, over the addresses and the pages that it inherited from `parent`'s.
  // `parent` is left behind; what of it is inherited is moved out. `store` holds the copy of the parent's pages.
  static Result<FarSpace*> inherit(FarSpace& parent, const Config& config, KernelAccess kernel,
                                   pagetable::PageStore& store, stats::ProcessStats& stats);
  Result<void> start_threads(const Config& config, std::span<const int> watched_descriptors,
                             Housekeeping keep_house = {});
  // Ends the eviction and keeper threads (message handlers stay). For tests that make many spaces.
  void stop_threads_for_testing() noexcept { keeper_.stop(); }

  std::span<std::byte> reservation() const noexcept { return {base_, size_}; }
  bool contains(const void* address) const noexcept {
    return reinterpret_cast<uintptr_t>(address) - reinterpret_cast<uintptr_t>(base_) < size_;
  }
  const KernelChoice& choice() const noexcept { return choice_; }
  fault::Delivery delivery() const noexcept { return choice_.delivery; }

  // -1 before start_threads().
  int keeper_descriptor() const noexcept { return keeper_.descriptor(); }

  // As in FarMemory.
  std::byte* map(size_t size, size_t alignment) noexcept;
  void unmap(std::span<std::byte> pages) noexcept;
  void discard(std::span<std::byte> pages) noexcept;
  int protect(std::span<std::byte> pages, int protection) noexcept;
  // Makes the pages resident until unpin() of the pager. Pages of ranges that are not mapped stay away.
  PinSlot pin(PageRange range) noexcept;
  // Of pinned pages: may the process read them all?
  bool can_read(PageRange range) noexcept;
  void make_near(std::span<std::byte> pages) noexcept;
  void release_near(std::span<std::byte> pages) noexcept;
  [[nodiscard]] bool follow_links(std::span<const std::byte> objects, LinkLayout layout) noexcept;
  void forget_links(std::span<const std::byte> objects) noexcept;
  void surrender(std::span<std::byte> pages) noexcept;
  void reclaim_foreign(std::span<std::byte> pages) noexcept;
  // The program is about to use a device, or asynchronous I/O, that may write to its memory when no system call of its
  // is under way. A copy could miss what arrives after it; MOVE finds such pages pinned and leaves them alone.
  void expect_device_access() noexcept;
  // The part of [address, address + length) that is far, as pages; empty when none is.
  PageRange pages_of(const void* address, size_t length) const noexcept;

  // Makes the range of pages visible to children of fork(2), or not; what the program mapped itself stays as it is.
  void set_inherited(bool is_inherited) noexcept;
  // While a fork is under way nobody maps or unmaps.
  Lock& lock() noexcept { return lock_; }

  Pager& pager() noexcept { return pager_; }
  const KernelAccess& kernel() const noexcept { return kernel_; }
  KernelAccess& kernel() noexcept { return kernel_; }
  const fault::Userfaultfd& uffd() const noexcept { return kernel_.uffd; }
  fault::SignalStacks& signal_stacks() noexcept { return signal_stacks_; }
  PageNumber high_water() const noexcept { return ranges_.high_water(); }
  bool has_foreign() const noexcept { return has_foreign_.load(std::memory_order_relaxed); }

 private:
  template <typename T, typename... Arguments>
  friend Result<T*> make_near_object(Arguments&&...);
  struct Parts {
    KernelChoice choice;
    KernelAccess kernel;
    os::Mapping reservation;
    os::Mapping staging;
    Pager::Memory memory;
    RangeAllocator ranges;
    fault::SignalStacks signal_stacks;
    PagerOptions options;
  };
  FarSpace(Parts&& parts, pagetable::PageStore& store, stats::ProcessStats& stats) noexcept;
  // Runs of pages that the program did not map something of its own over, up to the end of the reservation.
  template <typename F>
  Result<void> for_each_own_run(F use) const noexcept;
  void forget_links_locked(std::span<const std::byte> objects) noexcept;
  std::byte* address_of(PageNumber page) const noexcept { return base_ + (page.value << kPageShift); }
  PageRange range_of(std::span<std::byte> pages) const noexcept { return pages_of(pages.data(), pages.size()); }

  const KernelChoice choice_;
  KernelAccess kernel_;
  std::byte* const base_;
  const size_t size_;
  fault::UffdPageMapper mapper_;
  Pager pager_;
  fault::MessageDelivery messages_;
  fault::SignalStacks signal_stacks_;
  Keeper keeper_;
  Lock lock_;
  RangeAllocator ranges_;
  std::atomic<bool> has_foreign_{false};
};

}  // namespace tiara::residency
