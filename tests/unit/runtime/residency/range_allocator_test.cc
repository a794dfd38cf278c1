#include "runtime/residency/range_allocator.h"

#include <catch2/catch.hpp>
#include <random>
#include <vector>

using namespace tiara;
using namespace tiara::residency;

namespace {
constexpr PageRange range(uint64_t first, uint64_t count) { return {PageNumber{first}, PageCount{count}}; }
}  // namespace

TEST_CASE("ranges are taken first fit by address") {
  auto ranges = *RangeAllocator::create(PageCount{100});
  CHECK(ranges.take(PageCount{10}, 1, 0) == range(0, 10));
  CHECK(ranges.take(PageCount{10}, 1, 0) == range(10, 10));
  ranges.give_back(range(0, 10));
  CHECK(ranges.take(PageCount{20}, 1, 0) == range(20, 20));
  CHECK(ranges.take(PageCount{4}, 1, 0) == range(0, 4));
  CHECK(ranges.high_water() == PageNumber{40});
}

TEST_CASE("alignment is one of addresses, not of page numbers") {
  auto ranges = *RangeAllocator::create(PageCount{100});
  // The reservation begins at page 3 of the address space, so page 5 of the range lies on a multiple of 8.
  CHECK(ranges.take(PageCount{8}, 8, 3) == range(5, 8));
  CHECK(ranges.take(PageCount{5}, 1, 3) == range(0, 5));
}

TEST_CASE("a range that fits nowhere is refused and changes nothing") {
  auto ranges = *RangeAllocator::create(PageCount{16});
  CHECK(ranges.take(PageCount{16}, 1, 0).has_value());
  CHECK_FALSE(ranges.take(PageCount{1}, 1, 0));
  ranges.give_back(range(4, 4));
  CHECK_FALSE(ranges.take(PageCount{5}, 1, 0));
  CHECK(ranges.take(PageCount{4}, 1, 0) == range(4, 4));
}

TEST_CASE("parts of a taken range can be given back, twice even") {
  auto ranges = *RangeAllocator::create(PageCount{64});
  REQUIRE(ranges.take(PageCount{64}, 1, 0));
  ranges.give_back(range(10, 10));
  ranges.give_back(range(15, 10));
  ranges.check_invariants();
  REQUIRE(ranges.free_ranges().size() == 1);
  CHECK(ranges.free_ranges()[0] == range(10, 15));
  CHECK_FALSE(ranges.is_taken(range(9, 2)));
  CHECK(ranges.is_taken(range(25, 39)));
}

TEST_CASE("random traffic agrees with a bitmap") {
  constexpr uint64_t kPages = 512;
  auto ranges = *RangeAllocator::create(PageCount{kPages});
  std::vector<bool> taken(kPages);
  std::mt19937_64 random(20260713);
  for (int step = 0; step < 20'000; ++step) {
    const uint64_t count = 1 + random() % 24;
    switch (random() % 3) {
      case 0: {
        const uint64_t alignment = uint64_t{1} << (random() % 4);
        const auto got = ranges.take(PageCount{count}, alignment, 0);
        uint64_t expected = kPages;
        for (uint64_t first = 0; first + count <= kPages && expected == kPages; first += alignment) {
          bool is_free = true;
          for (uint64_t page = first; page < first + count; ++page) is_free &= !taken[page];
          if (is_free) expected = first;
        }
        REQUIRE(got.has_value() == (expected != kPages));
        if (!got) break;
        REQUIRE(got->first.value == expected);
        for (uint64_t page = expected; page < expected + count; ++page) taken[page] = true;
        break;
      }
      case 1: {
        const uint64_t first = random() % (kPages - count);
        ranges.give_back(range(first, count));
        for (uint64_t page = first; page < first + count; ++page) taken[page] = false;
        break;
      }
      default: {
        const uint64_t first = random() % (kPages - count);
        ranges.take_exactly(range(first, count));
        for (uint64_t page = first; page < first + count; ++page) taken[page] = true;
        break;
      }
    }
    ranges.check_invariants();
    uint64_t free = 0;
    for (const PageRange& one : ranges.free_ranges()) {
      free += one.count.value;
      for (uint64_t page = one.first.value; page < one.end().value; ++page) REQUIRE_FALSE(taken[page]);
    }
    REQUIRE(free == static_cast<uint64_t>(std::count(taken.begin(), taken.end(), false)));
  }
}
