#include "runtime/preload/address_ranges.h"

#include <catch2/catch.hpp>
#include <random>

using tiara::preload::AddressRanges;
using Range = AddressRanges::Range;

TEST_CASE("Adjacent and overlapping ranges become one") {
  AddressRanges set;
  set.insert({10, 20});
  set.insert({30, 40});
  set.insert({20, 30});
  CHECK(set.ranges() == std::vector<Range>{{10, 40}});
  set.insert({5, 50});
  CHECK(set.ranges() == std::vector<Range>{{5, 50}});
}

TEST_CASE("Erasing from the middle leaves both ends") {
  AddressRanges set;
  set.insert({10, 40});
  set.erase({20, 30});
  CHECK(set.ranges() == std::vector<Range>{{10, 20}, {30, 40}});
  CHECK(set.covers({10, 20}));
  CHECK_FALSE(set.covers({10, 30}));
  CHECK(set.overlaps({15, 35}) == std::vector<Range>{{15, 20}, {30, 35}});
  CHECK(set.gaps({5, 45}) == std::vector<Range>{{5, 10}, {20, 30}, {40, 45}});
}

TEST_CASE("Random insertions and erasures agree with a bitmap") {
  std::mt19937 random(1);
  AddressRanges set;
  std::vector<bool> model(200);
  for (int step = 0; step < 5000; ++step) {
    const uintptr_t begin = random() % 190;
    const uintptr_t end = begin + 1 + random() % 10;
    const bool is_insert = random() % 2 == 0;
    is_insert ? set.insert({begin, end}) : set.erase({begin, end});
    for (uintptr_t i = begin; i < end; ++i) model[i] = is_insert;
    uintptr_t previous_end = 0;
    std::vector<bool> actual(200);
    for (const Range& range : set.ranges()) {
      REQUIRE((range.begin > previous_end || previous_end == 0));
      REQUIRE(range.begin < range.end);
      for (uintptr_t i = range.begin; i < range.end; ++i) actual[i] = true;
      previous_end = range.end;
    }
    REQUIRE(actual == model);
  }
}
