#include "runtime/residency/far_space.h"

#include <algorithm>
#include <sys/mman.h>
#include <sys/resource.h>

#include "fault-handler/kernel_features.h"
#include "fault-handler/service_thread.h"
#include "fault-handler/uapi.h"
#include "runtime/base/check.h"
#include "runtime/residency/inherited_pages.h"
#include "runtime/residency/near_object.h"

namespace tiara::residency {
namespace {

using fault::load;

// 256 GiB of addresses: far more than a node of today holds, and its sparse metadata maps are 0.75 GiB of addresses.
constexpr uint64_t kMostPages = (256 * kGiB) >> kPageShift;
// Below this a reservation would be exhausted by the program's first arena.
constexpr uint64_t kFewestPages = (64 * kMiB) >> kPageShift;

// A quarter of what RLIMIT_AS leaves: the program needs the rest for everything else.
uint64_t pages_allowed() {
  rlimit limit{};
  if (getrlimit(RLIMIT_AS, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return kMostPages;
  return std::min<uint64_t>(kMostPages, (limit.rlim_cur / 4) >> kPageShift);
}

Result<os::Mapping> reserve(Bytes size, int protection) {
  void* base = os::raw_mmap(nullptr, size.value, protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (base == MAP_FAILED)
    return std::unexpected(system_error("mmap", std::to_string(size.value) + " bytes; raise ulimit -v"));
  os::Mapping mapping(static_cast<std::byte*>(base), size.value);
  // Before registration: a huge page cannot be paged one by one. EINVAL: this kernel has none.
  (void)os::raw_madvise(base, size.value, MADV_NOHUGEPAGE);
  // A child made by a raw clone() must not find zeros where the parent's pages are: it finds nothing.
  if (const int err = -os::raw_madvise(base, size.value, MADV_DONTFORK); err != 0)
    return std::unexpected(system_error("madvise", "MADV_DONTFORK", err));
  return mapping;
}

// What leaves by copying costs two interrupts of the other CPUs however much it is: the more the better, and the pager
// knows how much. A MOVE interrupts for each run of neighbours anyway, and 16 pages are what one step may take of a
// miss's time.
constexpr uint32_t kMovedCluster = 16;

PagerOptions options_of(const Config& config, const KernelChoice& choice) {
  PagerOptions options;
  options.local = config.local;
  options.unmap_by = choice.unmap_by;
  options.evict_on = config.evict_on;
  const bool is_default = config.evict_cluster == 0 && choice.unmap_by == UnmapBy::kMove;
  options.evict_cluster = is_default ? kMovedCluster : config.evict_cluster;
  options.policy = config.policy;
  options.readahead = config.readahead;
  options.heat = config.heat;
  options.page_tables = choice.page_tables;
  options.second_chance = config.second_chance;
  options.contended_bound = config.node_timeout;
  options.write_back = {config.clean_detection, config.zero_detection};
  return options;
}

uint64_t bit_count(uint64_t flag, bool wanted) { return wanted ? flag : 0; }

PageCount mapped_pages(void* space) { return {static_cast<FarSpace*>(space)->high_water().value}; }

}  // namespace

Result<KernelChoice> choose_for_kernel(const Config& config) {
  TIARA_TRY(const fault::Features features, fault::probe_features());
  KernelChoice choice;
  choice.has_write_protect = features.has_write_protect;
  choice.has_move = features.has_move;
  choice.page_tables = fault::probe_page_tables();
  switch (config.fault) {
    case FaultMode::kHybrid: choice.delivery = fault::Delivery::kHybrid; break;
    case FaultMode::kSignal:
    case FaultMode::kAuto:
      if (config.fault == FaultMode::kAuto && features.has_hybrid_delivery) {
        choice.delivery = fault::Delivery::kHybrid;
        break;
      }
      choice.delivery = features.has_signal_delivery ? fault::Delivery::kSignal : fault::Delivery::kMessage;
      break;
    case FaultMode::kMessage: choice.delivery = fault::Delivery::kMessage; break;
  }
  if (choice.delivery == fault::Delivery::kMessage && !features.has_message_delivery)
    return fail(ErrorCode::kNoPermission,
                "userfaultfd may not serve system calls of this user; set vm.unprivileged_userfaultfd=1, give access "
                "to /dev/userfaultfd, run as root, or use --fault signal");
  if (choice.delivery == fault::Delivery::kHybrid && !features.has_hybrid_delivery)
    return fail(ErrorCode::kUnsupported,
                "this kernel has no hybrid delivery, or this user may not have it; use --fault auto (tiara doctor says "
                "what is missing)");
  switch (config.evict_with) {
    case EvictWith::kAuto: {
      // Copying interrupts the other CPUs least. But where system calls do not pin what they use (message, hybrid), a
      // device may be writing to a page, and only MOVE would see that.
      const bool copies = choice.delivery == fault::Delivery::kSignal && features.has_write_protect;
      choice.unmap_by = copies || !features.has_move ? UnmapBy::kCopy : UnmapBy::kMove;
      break;
    }
    case EvictWith::kMove: choice.unmap_by = UnmapBy::kMove; break;
    case EvictWith::kCopy: choice.unmap_by = UnmapBy::kCopy; break;
  }
  choice.may_turn_to_move = features.has_move;
  if (choice.unmap_by == UnmapBy::kMove && !features.has_move)
    return fail(ErrorCode::kUnsupported,
                "this kernel has no UFFDIO_MOVE; use --evict-with copy, or Linux 6.8 or later");
  if (choice.unmap_by == UnmapBy::kCopy && !features.has_write_protect)
    return fail(ErrorCode::kUnsupported, "this kernel cannot write-protect by userfaultfd; use Linux 5.13 or later");
  return choice;
}

Result<KernelAccess> open_for(const KernelChoice& choice) {
  using fault::Delivery;
  TIARA_TRY(fault::Userfaultfd uffd,
            fault::Userfaultfd::open(
                choice.delivery, bit_count(UFFD_FEATURE_SIGBUS, choice.delivery == Delivery::kSignal) |
                                     bit_count(UFFD_FEATURE_SIGBUS_USER, choice.delivery == Delivery::kHybrid) |
                                     bit_count(UFFD_FEATURE_THREAD_ID, fault::sends_messages(choice.delivery)) |
                                     bit_count(UFFD_FEATURE_PAGEFAULT_FLAG_WP, choice.has_write_protect) |
                                     bit_count(UFFD_FEATURE_MOVE, choice.has_move)));
  return KernelAccess{std::move(uffd), fault::Pagemap::open()};
}

Result<FarSpace*> FarSpace::create(const Config& config, const KernelChoice& choice, KernelAccess kernel,
                                   pagetable::PageStore& store, PageCount max_pages, stats::ProcessStats& stats) {
  const PagerOptions options = options_of(config, choice);
  const uint64_t cluster = directory_cluster_pages(options.evict_cluster);
  uint64_t pages = round_down(std::min(max_pages.value, pages_allowed()), cluster);
  Result<os::Mapping> reservation = reserve(PageCount{pages}.bytes(), PROT_NONE);
  while (!reservation && pages / 2 >= kFewestPages) {
    pages = round_down(pages / 2, cluster);
    reservation = reserve(PageCount{pages}.bytes(), PROT_NONE);
  }
  if (!reservation) return std::unexpected(reservation.error());
  TIARA_TRY(Pager::Memory memory, Pager::create_memory(PageCount{pages}, options));
  TIARA_TRY(os::Mapping staging, reserve(memory.staging.range_size(), PROT_READ | PROT_WRITE));
  TIARA_TRY(RangeAllocator ranges, RangeAllocator::create(PageCount{pages}));
  TIARA_TRY(fault::SignalStacks stacks, fault::SignalStacks::create());
  TIARA_TRY_VOID(kernel.uffd.register_range(reservation->span(), choice.has_write_protect));
  TIARA_TRY_VOID(kernel.uffd.register_range(staging.span(), choice.has_write_protect));
  Parts parts{choice,           std::move(kernel), std::move(*reservation), std::move(staging),
              std::move(memory), std::move(ranges), std::move(stacks),       options};
  return make_near_object<FarSpace>(std::move(parts), store, stats);
}

FarSpace::FarSpace(Parts&& parts, pagetable::PageStore& store, stats::ProcessStats& stats) noexcept
    : choice_(parts.choice), kernel_(std::move(parts.kernel)), base_(parts.reservation.data()),
      size_(parts.reservation.size()),
      mapper_(kernel_.uffd, kernel_.pagemap, base_, parts.staging.data(), parts.memory.directory.cluster_pages()),
      pager_(std::move(parts.memory), mapper_, store, stats, parts.options),
      messages_(kernel_.uffd, base_, size_, pager_.resolver()), signal_stacks_(std::move(parts.signal_stacks)),
      keeper_(pager_), ranges_(std::move(parts.ranges)) {
  parts.reservation.release();
  parts.staging.release();
}

Result<void> FarSpace::start_threads(const Config& config, std::span<const int> watched_descriptors,
                                     Housekeeping keep_house) {
  if (fault::sends_messages(choice_.delivery)) TIARA_TRY_VOID(messages_.start());
  keeper_.keep_house(keep_house.run, keep_house.context);
  return keeper_.start(watched_descriptors, config.chaos_seed, mapped_pages, this);
}

PageRange FarSpace::pages_of(const void* address, size_t length) const noexcept {
  const auto base = reinterpret_cast<uintptr_t>(base_);
  const auto begin = std::max(reinterpret_cast<uintptr_t>(address), base);
  const auto wanted_end = reinterpret_cast<uintptr_t>(address) + length;
  // A length that wraps around the address space is the program's nonsense: the kernel will say so.
  if (wanted_end < reinterpret_cast<uintptr_t>(address)) return {};
  const auto end = std::min(wanted_end, base + size_);
  if (begin >= end) return {};
  const uint64_t first = (begin - base) >> kPageShift;
  const uint64_t last = (end - 1 - base) >> kPageShift;
  return {PageNumber{first}, PageCount{last - first + 1}};
}

std::byte* FarSpace::map(size_t size, size_t alignment) noexcept {
  const PageCount count = pages_for(Bytes{size});
  if (count.value == 0) return nullptr;
  const Locked locked(lock_);
  const auto range = ranges_.take(count, std::max(alignment, kPageSize) >> kPageShift,
                                  reinterpret_cast<uintptr_t>(base_) >> kPageShift);
  if (!range) return nullptr;
  std::byte* const address = address_of(range->first);
  if (os::raw_mprotect(address, count.bytes().value, PROT_READ | PROT_WRITE) == 0) return address;
  ranges_.give_back(*range);  // too many mappings (vm.max_map_count): the caller falls back to near memory
  return nullptr;
}

void FarSpace::unmap(std::span<std::byte> pages) noexcept {
  const PageRange range = range_of(pages);
  if (range.count.value == 0) return;
  const Locked locked(lock_);
  forget_links_locked(pages);
  if (has_foreign() && pager_.has_flagged(range, fault::kForeign)) reclaim_foreign(pages);
  // The mark first: an evictor reads the pages that it copies, and would meet a mapping it may not read.
  pager_.mark_unreachable(range);
  // Out of reach next: a stray access during the discard would leave bytes in a page that counts as fresh.
  TIARA_CHECK(os::raw_mprotect(address_of(range.first), range.count.bytes().value, PROT_NONE) == 0);
  pager_.discard(range, 0, fault::kNear | fault::kProtected);
  ranges_.give_back(range);
}

void FarSpace::discard(std::span<std::byte> pages) noexcept {
  const PageRange range = range_of(pages);
  if (range.count.value == 0) return;
  const fault::SignalsBlocked blocked;
  if (has_foreign() && pager_.has_flagged(range, fault::kForeign))
    (void)os::raw_madvise(address_of(range.first), range.count.bytes().value, MADV_DONTNEED);
  pager_.discard(range, 0, 0);
}

int FarSpace::protect(std::span<std::byte> pages, int protection) noexcept {
  const PageRange range = range_of(pages);
  if (range.count.value == 0) return 0;
  const fault::SignalsBlocked blocked;
  const bool is_plain = protection == (PROT_READ | PROT_WRITE);
  // The mark first: from then on nobody tries to move pages out of a mapping that differs from staging.
  if (!is_plain) pager_.change_flags(range, fault::kProtected, 0);
  const int result = os::raw_mprotect(pages.data(), pages.size(), protection);
  if (is_plain && result == 0) {
    pager_.change_flags(range, 0, fault::kProtected);
  }
  return result;
}

PinSlot FarSpace::pin(PageRange range) noexcept {
  const Pager::Pinned pinned = pager_.pin(range);
  if (!pinned.has_brought_in) return pinned.slot;
  const Locked locked(lock_);
  if (ranges_.is_taken(range)) return pinned.slot;
  // A system call with a stray pointer. What lies there has no access and no mark that says so: an evictor that copies
  // would meet it. While it is pinned none does.
  for (PageNumber page = range.first; page < range.end(); page = page + PageCount{1}) {
    const PageRange one{page, PageCount{1}};
    if (!ranges_.is_taken(one)) pager_.discard(one, 0, fault::kNear | fault::kProtected);
  }
  return pinned.slot;
}

bool FarSpace::can_read(PageRange range) noexcept {
  if (!pager_.can_read(range)) return false;
  const Locked locked(lock_);
  return ranges_.is_taken(range);  // a pin that is being made may have brought in pages of an unmapped range
}

void FarSpace::make_near(std::span<std::byte> pages) noexcept {
  const fault::SignalsBlocked blocked;
  pager_.make_near(range_of(pages));
}

void FarSpace::release_near(std::span<std::byte> pages) noexcept {
  const fault::SignalsBlocked blocked;
  pager_.release_near(range_of(pages));
}

bool FarSpace::follow_links(std::span<const std::byte> objects, LinkLayout layout) noexcept {
  const auto begin = static_cast<uint64_t>(objects.data() - base_);
  const Locked locked(lock_);
  return pager_.resolver().chases().add({reinterpret_cast<uintptr_t>(base_), begin, begin + objects.size(),
                                         layout.object_bytes, layout.link_offset, layout.hops});
}

void FarSpace::forget_links(std::span<const std::byte> objects) noexcept {
  const Locked locked(lock_);
  forget_links_locked(objects);
}

void FarSpace::forget_links_locked(std::span<const std::byte> objects) noexcept {
  const auto begin = reinterpret_cast<uintptr_t>(objects.data()) - reinterpret_cast<uintptr_t>(base_);
  pager_.resolver().chases().remove(begin, begin + objects.size());
}

void FarSpace::surrender(std::span<std::byte> pages) noexcept {
  const PageRange range = range_of(pages);
  if (range.count.value == 0) return;
  const Locked locked(lock_);
  forget_links_locked(pages);
  has_foreign_.store(true, std::memory_order_relaxed);
  ranges_.take_exactly(range);
  pager_.discard(range, fault::kForeign, fault::kNear | fault::kProtected);
}

void FarSpace::reclaim_foreign(std::span<std::byte> pages) noexcept {
  const PageRange range = range_of(pages);
  if (range.count.value == 0) return;
  const fault::SignalsBlocked blocked;
  std::byte* const address = address_of(range.first);
  const size_t length = range.count.bytes().value;
  pager_.discard(range, 0, fault::kNear | fault::kProtected);
  // Unreachable until registered: a page mapped by the kernel itself would be unknown to us.
  constexpr int kFlags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED;
  void* fresh = os::raw_mmap(address, length, PROT_NONE, kFlags, -1, 0);
  TIARA_CHECK(fresh == address);
  (void)os::raw_madvise(address, length, MADV_NOHUGEPAGE);
  TIARA_CHECK(os::raw_madvise(address, length, MADV_DONTFORK) == 0);
  TIARA_CHECK(kernel_.uffd.register_range({address, length}, choice_.has_write_protect).has_value());
  pager_.change_flags(range, 0, fault::kForeign);
  TIARA_CHECK(os::raw_mprotect(address, length, PROT_READ | PROT_WRITE) == 0);
}

void FarSpace::expect_device_access() noexcept {
  if (choice_.may_turn_to_move) pager_.unmap_by(UnmapBy::kMove);
}

template <typename F>
Result<void> FarSpace::for_each_own_run(F use) const noexcept {
  const uint64_t end = size_ >> kPageShift;
  const uint64_t used = ranges_.high_water().value;  // beyond it nobody mapped anything
  uint64_t from = 0;
  while (from < end) {
    uint64_t to = from;
    if (has_foreign())
      while (to < used && !load(pager_.parts().directory.word(PageNumber{to})).has(fault::kForeign)) ++to;
    if (!has_foreign() || to >= used) to = end;
    if (to > from) TIARA_TRY_VOID(use(std::span(address_of(PageNumber{from}), (to - from) << kPageShift)));
    from = to + 1;
  }
  return {};
}

void FarSpace::set_inherited(bool is_inherited) noexcept {
  const int advice = is_inherited ? MADV_DOFORK : MADV_DONTFORK;
  const auto advised = for_each_own_run([advice](std::span<std::byte> run) -> Result<void> {
    TIARA_CHECK(os::raw_madvise(run.data(), run.size(), advice) == 0);
    return {};
  });
  TIARA_CHECK(advised.has_value());
}

Result<FarSpace*> FarSpace::inherit(FarSpace& parent, const Config& config, KernelAccess kernel,
                                    pagetable::PageStore& store, stats::ProcessStats& stats) {
  const PagerOptions options = options_of(config, parent.choice_);
  const PageCount pages{parent.size_ >> kPageShift};
  // Everything that threads of the parent were in the middle of is made anew, and what they know of pages is kept.
  TIARA_TRY(Pager::Memory memory, Pager::create_memory(pages, options));
  TIARA_TRY(os::Mapping staging, reserve(memory.staging.range_size(), PROT_READ | PROT_WRITE));
  TIARA_TRY_VOID(kernel.uffd.register_range(staging.span(), parent.choice_.has_write_protect));
  TIARA_TRY_VOID(parent.for_each_own_run([&](std::span<std::byte> run) {
    return kernel.uffd.register_range(run, parent.choice_.has_write_protect);
  }));
  Parts parts{parent.choice_,
              std::move(kernel),
              os::Mapping(parent.base_, parent.size_),
              std::move(staging),
              std::move(memory),
              std::move(parent.ranges_),
              std::move(parent.signal_stacks_),
              options};
  parts.memory.directory = std::move(parent.pager_.parts().directory);
  parts.signal_stacks.after_fork_in_child();
  TIARA_TRY(FarSpace* space, make_near_object<FarSpace>(std::move(parts), store, stats));
  space->has_foreign_.store(parent.has_foreign(), std::memory_order_relaxed);
  settle_inherited_pages(space->pager_, space->high_water(), space->base_, space->kernel_.pagemap);
  space->set_inherited(false);
  return space;
}

}  // namespace tiara::residency
