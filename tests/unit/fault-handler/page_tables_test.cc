#include "fault-handler/page_tables.h"

#include <catch2/catch.hpp>

#include <array>

namespace tiara::fault {
namespace {

using enum PageTables;

TEST_CASE("first accesses that trap one by one, or in groups of eight, tell shadow page tables") {
  CHECK(page_tables_by(std::array<uint64_t, 6>{3600, 3500, 3400, 4600, 3700, 3350}) == kShadowed);
  CHECK(page_tables_by(std::array<uint64_t, 9>{3600, 3500, 3400, 4600, 60, 60, 60, 60, 60}) == kShadowed);
}

TEST_CASE("a walk of the processor's, with two interrupts among the accesses, is none") {
  CHECK(page_tables_by(std::array<uint64_t, 6>{60, 90, 300, 60, 75, 999}) == kWalked);
  CHECK(page_tables_by(std::array<uint64_t, 6>{60, 56'000, 300, 60, 8000, 60}) == kWalked);
  CHECK(page_tables_by({}) == kWalked);
}

}  // namespace
}  // namespace tiara::fault
