#include "runtime/placement/caller_ranges.h"

#include <catch2/catch.hpp>
#include <cstdlib>

using tiara::placement::CallerRanges;

TEST_CASE("A range holds its first byte and not the one after its last") {
  CallerRanges ranges;
  REQUIRE(ranges.add(0x1000, 0x100));
  CHECK(ranges.contains(reinterpret_cast<void*>(0x1000)));
  CHECK(ranges.contains(reinterpret_cast<void*>(0x10ff)));
  CHECK_FALSE(ranges.contains(reinterpret_cast<void*>(0x1100)));
  CHECK_FALSE(ranges.contains(reinterpret_cast<void*>(0xfff)));
}

TEST_CASE("The C library is found by the beginning of its name, once") {
  CallerRanges ranges;
  CHECK(ranges.add_loaded("libc.so") == 1);
  CHECK(ranges.add_loaded("libc.so") == 0);
  CHECK(ranges.contains(reinterpret_cast<void*>(&qsort)));
  CHECK_FALSE(ranges.contains(&ranges));
}

TEST_CASE("A library that is not loaded adds nothing") {
  CallerRanges ranges;
  CHECK(ranges.add_loaded("libnothing.so") == 0);
  CHECK(ranges.count() == 0);
}

TEST_CASE("A full set refuses more") {
  CallerRanges ranges;
  for (size_t i = 0; i < CallerRanges::kCapacity; ++i) REQUIRE(ranges.add(0x1000 * (i + 1), 0x10));
  CHECK_FALSE(ranges.add(0x900000, 0x10));
}
