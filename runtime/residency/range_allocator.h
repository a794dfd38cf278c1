// Which pages of the reservation are mapped: first fit by address, so that the program's far memory stays dense.
//
// Free ranges stand sorted in one array of near memory. A program has at most some thousands of them, for which a
// scan and a memmove cost less than any tree; nothing is allocated, because this runs inside malloc.
// Not thread-safe: the owner locks.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "runtime/base/error.h"
#include "runtime/base/units.h"
#include "runtime/os/memory.h"

namespace tiara::residency {

class RangeAllocator {
 public:
  static Result<RangeAllocator> create(PageCount pages);

  // The lowest free range of `count` pages whose first page, as an address from `base`, is a multiple of `alignment`
  // (a power of two, in pages); no value when there is none.
  std::optional<PageRange> take(PageCount count, uint64_t alignment_pages, uint64_t base_page);
  // Gives back a range that was taken, or any part of one. Parts that are free already are left as they are.
  void give_back(PageRange range);
  // Takes exactly this range out of the free ones, whatever part of it is free.
  void take_exactly(PageRange range);
  bool is_taken(PageRange range) const;  // no page of it is free

  PageCount pages() const { return pages_; }
  // Pages at and above this have never been taken.
  PageNumber high_water() const { return {high_water_}; }
  std::span<const PageRange> free_ranges() const { return {ranges_, count_}; }
  void check_invariants() const;

 private:
  // One entry more than ranges can ever exist is impossible to need; this many would be 16 GiB of alternating
  // single pages. Sparse memory.
  static constexpr size_t kMaxRanges = size_t{1} << 21;

  RangeAllocator(PageCount pages, os::Mapping memory);
  size_t first_ending_after(PageNumber page) const;
  void insert(size_t at, PageRange range);
  void erase(size_t at);

  PageCount pages_;
  os::Mapping memory_;
  PageRange* ranges_;
  size_t count_ = 0;
  uint64_t high_water_ = 0;
};

}  // namespace tiara::residency
