#include "runtime/residency/range_allocator.h"

#include <algorithm>
#include <cstring>
#include <optional>

#include "runtime/base/check.h"

namespace tiara::residency {

Result<RangeAllocator> RangeAllocator::create(PageCount pages) {
  TIARA_TRY(os::Mapping memory, os::Mapping::anonymous(Bytes{kMaxRanges * sizeof(PageRange)}));
  return RangeAllocator(pages, std::move(memory));
}

RangeAllocator::RangeAllocator(PageCount pages, os::Mapping memory)
    : pages_(pages), memory_(std::move(memory)), ranges_(reinterpret_cast<PageRange*>(memory_.data())) {
  insert(0, {PageNumber{0}, pages});
}

size_t RangeAllocator::first_ending_after(PageNumber page) const {
  return static_cast<size_t>(
      std::upper_bound(ranges_, ranges_ + count_, page,
                       [](PageNumber value, const PageRange& range) { return value < range.end(); }) -
      ranges_);
}

void RangeAllocator::insert(size_t at, PageRange range) {
  TIARA_CHECK(count_ < kMaxRanges);
  memmove(static_cast<void*>(ranges_ + at + 1), ranges_ + at, (count_ - at) * sizeof(PageRange));
  ranges_[at] = range;
  ++count_;
}

void RangeAllocator::erase(size_t at) {
  memmove(static_cast<void*>(ranges_ + at), ranges_ + at + 1, (count_ - at - 1) * sizeof(PageRange));
  --count_;
}

std::optional<PageRange> RangeAllocator::take(PageCount count, uint64_t alignment_pages, uint64_t base_page) {
  TIARA_CHECK(count.value > 0);
  for (size_t i = 0; i < count_; ++i) {
    const PageRange range = ranges_[i];
    const uint64_t first = round_up(base_page + range.first.value, alignment_pages) - base_page;
    if (first + count.value > range.end().value) continue;
    const PageRange taken{PageNumber{first}, count};
    take_exactly(taken);
    return taken;
  }
  return std::nullopt;
}

void RangeAllocator::take_exactly(PageRange range) {
  high_water_ = std::max(high_water_, range.end().value);
  size_t i = first_ending_after(range.first);
  while (i < count_ && ranges_[i].first < range.end()) {
    const PageRange free = ranges_[i];
    const PageRange before{free.first, PageCount{range.first > free.first ? range.first.value - free.first.value : 0}};
    const PageRange after{range.end(), PageCount{free.end() > range.end() ? free.end().value - range.end().value : 0}};
    if (before.count.value > 0 && after.count.value > 0) {
      ranges_[i] = before;
      insert(i + 1, after);
      return;
    }
    if (before.count.value > 0) {
      ranges_[i++] = before;
    } else if (after.count.value > 0) {
      ranges_[i] = after;
      return;
    } else {
      erase(i);
    }
  }
}

void RangeAllocator::give_back(PageRange range) {
  TIARA_CHECK(range.end().value <= pages_.value);
  if (range.count.value == 0) return;
  take_exactly(range);  // whatever was free inside joins the new free range
  size_t at = first_ending_after(range.first);
  if (at > 0 && ranges_[at - 1].end() == range.first) {
    --at;
    ranges_[at].count = ranges_[at].count + range.count;
  } else {
    insert(at, range);
  }
  if (at + 1 < count_ && ranges_[at].end() == ranges_[at + 1].first) {
    ranges_[at].count = ranges_[at].count + ranges_[at + 1].count;
    erase(at + 1);
  }
}

bool RangeAllocator::is_taken(PageRange range) const {
  const size_t i = first_ending_after(range.first);
  return i == count_ || ranges_[i].first >= range.end();
}

void RangeAllocator::check_invariants() const {
  for (size_t i = 0; i < count_; ++i) {
    TIARA_CHECK(ranges_[i].count.value > 0);
    TIARA_CHECK(ranges_[i].end().value <= pages_.value);
    // Sorted, disjoint, and merged: neighbours have a taken page between them.
    TIARA_CHECK(i == 0 || ranges_[i - 1].end() < ranges_[i].first);
  }
}

}  // namespace tiara::residency
