// A set of addresses as sorted, disjoint, non-adjacent ranges. Not thread-safe.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace tiara::preload {

class AddressRanges {
 public:
  struct Range {
    uintptr_t begin;
    uintptr_t end;  // exclusive
    friend bool operator==(const Range&, const Range&) = default;
  };

  void insert(Range added) {
    auto first = std::lower_bound(ranges_.begin(), ranges_.end(), added.begin,
                                  [](const Range& range, uintptr_t begin) { return range.end < begin; });
    auto last = first;
    for (; last != ranges_.end() && last->begin <= added.end; ++last) {
      added.begin = std::min(added.begin, last->begin);
      added.end = std::max(added.end, last->end);
    }
    ranges_.insert(ranges_.erase(first, last), added);
  }

  void erase(Range removed) {
    std::vector<Range> kept;
    for (const Range& range : ranges_) {
      if (range.begin < removed.begin) kept.push_back({range.begin, std::min(range.end, removed.begin)});
      if (range.end > removed.end) kept.push_back({std::max(range.begin, removed.end), range.end});
    }
    ranges_ = std::move(kept);
  }

  bool covers(Range wanted) const {
    return std::any_of(ranges_.begin(), ranges_.end(), [&](const Range& range) {
      return range.begin <= wanted.begin && wanted.end <= range.end;
    });
  }

  // The parts of `wanted` that are in the set, in order.
  std::vector<Range> overlaps(Range wanted) const {
    std::vector<Range> found;
    for (const Range& range : ranges_) {
      const Range part{std::max(range.begin, wanted.begin), std::min(range.end, wanted.end)};
      if (part.begin < part.end) found.push_back(part);
    }
    return found;
  }

  // The parts of `wanted` that are not in the set, in order.
  std::vector<Range> gaps(Range wanted) const {
    std::vector<Range> found;
    for (const Range& taken : overlaps(wanted)) {
      if (wanted.begin < taken.begin) found.push_back({wanted.begin, taken.begin});
      wanted.begin = taken.end;
    }
    if (wanted.begin < wanted.end) found.push_back(wanted);
    return found;
  }

  const std::vector<Range>& ranges() const { return ranges_; }

 private:
  std::vector<Range> ranges_;
};

}  // namespace tiara::preload
