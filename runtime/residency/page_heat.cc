#include "runtime/residency/page_heat.h"

#include <algorithm>
#include <sys/mman.h>

#include "fault-handler/page_directory.h"

namespace tiara::residency {

Result<PageHeat> PageHeat::create(PageCount pages) {
  TIARA_TRY(os::Mapping memory, os::Mapping::anonymous(Bytes{round_up(pages.value * sizeof(uint16_t), kPageSize)}));
  (void)os::raw_madvise(memory.data(), memory.size(), MADV_NOHUGEPAGE);
  return PageHeat(std::move(memory));
}

void PageHeat::left(PageNumber page, uint64_t resident) noexcept {
  const uint64_t ticks_every = std::max<uint64_t>(resident / kTicksPerRound, 1);
  // Two threads at the end of a tick make it two: a tick is a rough measure anyway.
  if (left_since_tick_.fetch_add(1, std::memory_order_relaxed) + 1 >= ticks_every) {
    left_since_tick_.store(0, std::memory_order_relaxed);
    ticks_.fetch_add(1, std::memory_order_relaxed);
  }
  std::atomic<uint16_t>& note = notes_[page.value];
  note.store(pack(now(), often(note.load(std::memory_order_relaxed)), 0), std::memory_order_relaxed);
}

void PageHeat::returned(PageNumber page) noexcept {
  std::atomic<uint16_t>& note = notes_[page.value];
  const uint16_t seen = note.load(std::memory_order_relaxed);
  const uint32_t then = left_at(seen);
  if (then == 0) return;
  const uint32_t since = (now() + kTimes - then) % kTimes;
  const uint32_t had = often(seen);
  const uint32_t has = since <= kSoon ? std::min(had + 1, kMost) : had - std::min(had, 1u);
  // Once may be chance.
  note.store(pack(then, has, has > 1 ? std::min(has * kRoundsEach, kMost) : 0), std::memory_order_relaxed);
}

bool PageHeat::stays(PageNumber page) noexcept {
  std::atomic<uint16_t>& note = notes_[page.value];
  const uint16_t seen = note.load(std::memory_order_relaxed);
  if ((seen & kMost) == 0) return false;
  note.store(static_cast<uint16_t>(seen - 1), std::memory_order_relaxed);
  return true;
}

void PageHeat::forget(PageNumber page) noexcept {
  // Read first: most pages have nothing to forget, and theirs need not be backed.
  if (notes_[page.value].load(std::memory_order_relaxed) != 0) notes_[page.value].store(0, std::memory_order_relaxed);
}

Bytes PageHeat::resident_bytes() const { return fault::backed_bytes(memory_.span()); }

}  // namespace tiara::residency
