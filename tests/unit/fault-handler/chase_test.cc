#include "fault-handler/chase.h"

#include <catch2/catch.hpp>
#include <thread>

using namespace tiara;
using namespace tiara::fault;

namespace {

constexpr uint64_t kBase = 0x7000'0000'0000;

ChaseRule rule(uint64_t begin, uint64_t end, uint64_t object_bytes, uint64_t link_offset, uint32_t hops = 10) {
  return {kBase, begin, end, object_bytes, link_offset, hops};
}

}  // namespace

TEST_CASE("a fault anywhere in an object leads to the object's own pointer") {
  ChaseRules rules;
  CHECK_FALSE(rules.find(0x10'000));
  REQUIRE(rules.add(rule(0x10'040, 0x20'000, 96, 16)));
  CHECK_FALSE(rules.find(0x10'03f));
  CHECK_FALSE(rules.find(0x20'000));
  for (const uint64_t byte : {0u, 16u, 95u}) {
    const auto chase = rules.find(0x10'040 + 3 * 96 + byte);
    REQUIRE(chase);
    CHECK(chase->page == PageNumber{0x10});
    CHECK(chase->link == 0x10'040 + 3 * 96 + 16);
    CHECK(chase->base == kBase);
    CHECK(chase->link_offset == 16);
    CHECK(chase->looks == 11);
  }
}

TEST_CASE("an object whose pointer lies on another page than the fault is not followed") {
  ChaseRules rules;
  REQUIRE(rules.add(rule(0x1f80, 0x9000, 256, 200)));
  CHECK_FALSE(rules.find(0x1f90));  // the pointer is at 0x2048
  CHECK(rules.find(0x2050)->link == 0x2048);
}

TEST_CASE("a rule ends when its memory does, and its place is used again") {
  ChaseRules rules;
  for (uint64_t i = 0; i < ChaseRules::kMostRules; ++i)
    REQUIRE(rules.add(rule(i << kPageShift, (i + 1) << kPageShift, 64, 0)));
  CHECK_FALSE(rules.add(rule(0x100'000, 0x101'000, 64, 0)));
  REQUIRE(rules.add(rule(0, kPageSize, 32, 8)));  // in place of the old one
  CHECK(rules.find(40)->link == 40);
  rules.remove(0x3000, 0x5000);
  CHECK_FALSE(rules.find(0x3000));
  CHECK_FALSE(rules.find(0x4000));
  CHECK(rules.find(0x5000));
  CHECK(rules.add(rule(0x100'000, 0x101'000, 64, 0)));
  CHECK(rules.find(0x100'040)->link == 0x100'040);
}

TEST_CASE("rules that change while a fault looks are seen whole or not at all") {
  ChaseRules rules;
  std::atomic<bool> is_over{false};
  std::thread changer([&] {
    for (int i = 0; i < 20'000; ++i) {
      (void)rules.add(rule(0, 0x10'000, i % 2 == 0 ? 64 : 128, i % 2 == 0 ? 8 : 120));
      if (i % 7 == 0) rules.remove(0, 1);
    }
    is_over = true;
  });
  uint64_t seen = 0, wrong = 0;
  while (!is_over) {
    const auto chase = rules.find(0x3000);
    if (!chase) continue;
    ++seen;
    wrong += chase->link != 0x3000 + chase->link_offset;
    wrong += chase->link_offset != 8 && chase->link_offset != 120;
  }
  changer.join();
  CHECK(wrong == 0);
  INFO(seen);
}
