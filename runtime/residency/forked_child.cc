#include "runtime/residency/forked_child.h"

#include <poll.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "fault-handler/service_thread.h"
#include "fault-handler/stop.h"
#include "runtime/base/check.h"
#include "runtime/base/exit_status.h"
#include "runtime/base/log.h"

namespace tiara::residency {
namespace {

using fault::PageState;
using fault::PageWord;
using fault::load;

alignas(kPageSize) constinit const std::byte kZeroPage[kPageSize] = {};

[[noreturn]] void stop_child(PageNumber page) {
  LogLine line("fatal: page ");
  line.number(page.value).text(" of a forked child is away, and only its parent can reach it; keep the program from ");
  line.text("forking after it has filled its memory (for a daemon: run it in the foreground), or raise --local");
  line.write();
  for (;;) syscall(SYS_exit_group, kExitForked);
}

}  // namespace

void ForkedChild::begin(FarSpace& space, bool was_anything_away, std::span<const int> inherited) noexcept {
  space_ = &space;
  // Raw closes: these descriptors are guarded against the program's own close().
  for (const int descriptor : inherited)
    if (descriptor >= 0) syscall(SYS_close, descriptor);
  space.kernel().forget();
  if (!was_anything_away) return;
  is_watching_ = true;
  auto own = open_for({.delivery = space.delivery(), .unmap_by = UnmapBy::kCopy, .has_write_protect = false});
  const std::span<std::byte> used = space.reservation().first(space.high_water().value << kPageShift);
  // A program that dropped its privileges may be refused. Then nothing of the range may be read at all: a page that
  // is away must not look like zeros.
  if (!own || !own->uffd.register_range(used, false)) {
    LogLine("a forked child cannot watch its far memory (userfaultfd was refused); touching it is a segmentation fault")
        .write();
    TIARA_CHECK(os::raw_mprotect(used.data(), used.size(), PROT_NONE) == 0);
    return;
  }
  space.kernel() = std::move(*own);
  if (fault::sends_messages(space.delivery()))
    TIARA_CHECK(fault::spawn_service_thread("tiara-fault", run_handler, this).has_value());
}

bool ForkedChild::is_away(PageNumber page) const noexcept {
  const PageWord word = load(space_->pager().parts().directory.word(page));
  switch (word.state()) {
    case PageState::kUntouched: return false;
    case PageState::kFetching: return word.has(fault::kHasFrame);  // another thread's fetch, cut off by the fork
    case PageState::kResident: return !word.has(fault::kBusy);     // busy: a discard, cut off by the fork
    case PageState::kStaged:
    case PageState::kWritingBack:
    case PageState::kRemote:
    case PageState::kPoisoned: return true;
  }
  return true;
}

fault::Resolution ForkedChild::resolve(PageNumber page) noexcept {
  if (load(space_->pager().parts().directory.word(page)).has(fault::kForeign)) return fault::Resolution::kForeign;
  std::byte* const address = space_->reservation().data() + (page.value << kPageShift);
  // Here already, or in the kernel's swap: another thread of the child was faster.
  if (space_->kernel().pagemap.has_bytes(address)) {
    space_->uffd().wake(address, kPageSize);
    return fault::Resolution::kMapped;
  }
  if (is_away(page)) stop_child(page);
  const fault::IoResult result = space_->uffd().copy(address, kZeroPage, kPageSize);
  TIARA_CHECK(result.status == fault::IoStatus::kDone || result.status == fault::IoStatus::kExists);
  return fault::Resolution::kMapped;
}

void ForkedChild::bring_in(PageRange range) noexcept {
  if (!is_watching_) return;
  for (PageNumber page = range.first; page < range.end(); page = page + PageCount{1}) (void)resolve(page);
}

void ForkedChild::discard(PageRange range) noexcept {
  for (PageNumber page = range.first; page < range.end(); page = page + PageCount{1}) {
    fault::AtomicPageWord& word = space_->pager().parts().directory.word(page);
    // Owners of words stayed in the parent; the child's words only say what is away. Foreign stays foreign.
    if (const PageWord seen = load(word); seen.raw() != 0)
      word.store(seen.raw() & fault::kForeign, std::memory_order_release);
  }
  (void)os::raw_madvise(space_->reservation().data() + (range.first.value << kPageShift), range.count.bytes().value,
                        MADV_DONTNEED);
}

void ForkedChild::give_up(PageRange range, int protection) noexcept {
  discard(range);
  (void)os::raw_mprotect(space_->reservation().data() + (range.first.value << kPageShift), range.count.bytes().value,
                         protection);
}

void ForkedChild::run_handler(void* raw) {
  auto& self = *static_cast<ForkedChild*>(raw);
  fault::FaultMessage message[1];
  const auto base = reinterpret_cast<uintptr_t>(self.space_->reservation().data());
  for (;;) {
    if (self.space_->uffd().read_messages(message) == 0) {
      pollfd ready{self.space_->uffd().descriptor(), POLLIN, 0};
      (void)syscall(SYS_poll, &ready, 1, -1);
      continue;
    }
    (void)self.resolve(PageNumber{(message[0].address - base) >> kPageShift});
  }
}

}  // namespace tiara::residency
