#include "fault-handler/page_mapper.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "runtime/base/check.h"
#include "runtime/os/memory.h"

namespace tiara::fault {
namespace {

PagesResult in_pages(IoResult result) {
  return {result.status, static_cast<uint32_t>(result.done >> kPageShift)};
}

}  // namespace

PagesResult UffdPageMapper::install(PageNumber first, uint32_t count, const std::byte* bytes) noexcept {
  return in_pages(uffd_.copy(address_of(first), bytes, size_t{count} << kPageShift));
}

PagesResult UffdPageMapper::move_out(PageNumber first, uint32_t count, StagingPlace to) noexcept {
  return move(address_of(to), address_of(first), count, Holes::kAllowed);
}

IoStatus UffdPageMapper::freeze(PageNumber first, uint32_t count) noexcept {
  const size_t length = size_t{count} << kPageShift;
  const IoStatus status = uffd_.write_protect(address_of(first), length, Protection::kReadOnly);
  // A range of several mappings may have been protected in part before the kernel refused the rest.
  if (status != IoStatus::kDone) (void)uffd_.write_protect(address_of(first), length, Protection::kWritable);
  return status;
}

void UffdPageMapper::thaw(PageNumber first, uint32_t count) noexcept {
  const size_t length = size_t{count} << kPageShift;
  const IoStatus status = uffd_.write_protect(address_of(first), length, Protection::kWritable);
  // Missing: the program unmapped it by a raw call, and with it the protection.
  TIARA_CHECK(status == IoStatus::kDone || status == IoStatus::kDying || status == IoStatus::kMissing);
}

PagesResult UffdPageMapper::take_back(PageNumber first, uint32_t count, StagingPlace from) noexcept {
  return move(address_of(first), address_of(from), count, Holes::kForbidden);
}

void UffdPageMapper::unshare(PageNumber page) noexcept {
  // By the kernel, not by a store of ours, which would be a segmentation fault in a range whose access is just being
  // taken away. Whether it worked shows when the page is moved again. Every kernel with MOVE has this advice.
  (void)os::raw_madvise(address_of(page), kPageSize, MADV_POPULATE_WRITE);
}

void UffdPageMapper::drop(PageNumber first, uint32_t count) noexcept {
  const size_t length = size_t{count} << kPageShift;
  int result = os::raw_madvise(address_of(first), length, MADV_DONTNEED);
  if (result == -EINVAL) {  // the program locked the range behind our back (mlockall): old bytes must not stay
    syscall(SYS_munlock, address_of(first), length);
    result = os::raw_madvise(address_of(first), length, MADV_DONTNEED);
  }
  TIARA_CHECK(result == 0 || result == -ENOMEM);  // ENOMEM: the program unmapped it by a raw call
}

void UffdPageMapper::drop_runs(std::span<const PageRun> runs) noexcept {
  constexpr size_t kMostRuns = 64;
  while (!runs.empty()) {
    const auto some = runs.first(std::min(runs.size(), kMostRuns));
    runs = runs.subspan(some.size());
    std::array<iovec, kMostRuns> ranges;
    size_t bytes = 0;
    for (size_t i = 0; i < some.size(); ++i) {
      ranges[i] = {address_of(some[i].first), size_t{some[i].count} << kPageShift};
      bytes += ranges[i].iov_len;
    }
    // Kernels that know the name of this process (6.15) flush once for all (6.16 on). Any other answer than "all of
    // it", and the runs are dropped one by one: dropping twice is harmless, for nobody maps these pages meanwhile.
    const bool is_done = some.size() > 1 && os::raw_madvise_ranges(ranges.data(), some.size(), MADV_DONTNEED) ==
                                                static_cast<long>(bytes);
    if (is_done) continue;
    for (const PageRun& run : some) drop(run.first, run.count);
  }
}

void UffdPageMapper::drop_staged(StagingPlace from, uint32_t count) noexcept {
  TIARA_CHECK(os::raw_madvise(address_of(from), size_t{count} << kPageShift, MADV_DONTNEED) == 0);
}

const std::byte* UffdPageMapper::staged_bytes(StagingPlace at) const noexcept { return address_of(at); }

void UffdPageMapper::wake(PageNumber page) noexcept { uffd_.wake(address_of(page), kPageSize); }

bool UffdPageMapper::is_mapped(PageNumber page) const noexcept {
  return pagemap_.has_bytes(address_of(page));
}

// Kernels (6.18 at least) now and then say EEXIST of a page that this very call has moved, when their own swap takes or
// brings the page at that moment: tests/kernel/swapped.cc shows it. The owner of the page's word made sure that the
// destination was empty, so a source that is empty now, beside a destination that is not, means that it was moved.
PagesResult UffdPageMapper::move(std::byte* to, std::byte* from, uint32_t count, Holes holes) const noexcept {
  uint32_t done = 0;
  while (done < count) {
    const size_t at = size_t{done} << kPageShift;
    const PagesResult result = in_pages(uffd_.move(to + at, from + at, (size_t{count} << kPageShift) - at, holes));
    done += result.done;
    if (result.status != IoStatus::kExists) return {result.status, done};
    const size_t stopped = size_t{done} << kPageShift;
    if (!has_moved(to + stopped, from + stopped)) return {result.status, done};
    ++done;
  }
  return {IoStatus::kDone, done};
}

// False when the page table cannot be asked: the page then counts as not moved, and the process stops at the next
// access to it.
bool UffdPageMapper::has_moved(const std::byte* to, const std::byte* from) const noexcept {
  const Backing at_source = pagemap_.backing(from);
  const Backing at_destination = pagemap_.backing(to);
  return at_source == Backing::kNothing &&
         (at_destination == Backing::kPresent || at_destination == Backing::kSwapped);
}

}  // namespace tiara::fault
