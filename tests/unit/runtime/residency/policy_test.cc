#include <catch2/catch.hpp>
#include <thread>

#include "runtime/residency/budget.h"
#include "runtime/residency/gate.h"
#include "runtime/residency/pins.h"

using namespace tiara;
using namespace tiara::residency;

TEST_CASE("a budget in bytes is what near memory leaves of it") {
  stats::ProcessStats stats{};
  Budget budget({Bytes{64 * kMiB}, std::nullopt}, 16, stats);
  CHECK(budget.limit_pages() == 64 * kMiB / kPageSize);
  budget.measured(Bytes{32 * kMiB}, 1);
  CHECK(budget.limit_pages() == 32 * kMiB / kPageSize);
  CHECK(stats.counters.near_bytes.load() == 32 * kMiB);
  CHECK(stats.note[0] == 0);
}

TEST_CASE("a budget never falls below its floor, and says so") {
  stats::ProcessStats stats{};
  Budget budget({Bytes{1 * kMiB}, std::nullopt}, 16, stats);
  budget.measured(Bytes{500 * kMiB}, 1);
  CHECK(budget.limit_pages() == 64);  // four clusters
  CHECK(stats.note[0] != 0);
  budget.measured(Bytes{500 * kMiB}, 10);
  CHECK(budget.limit_pages() == 160);  // sixteen pages a thread
}

TEST_CASE("a share follows the most far memory there has been") {
  stats::ProcessStats stats{};
  const Budget budget({std::nullopt, 0.25}, 16, stats);
  CHECK(budget.limit_pages() == 64);
  stats.counters.far_pages_peak.store(100'000);
  CHECK(budget.limit_pages() == 25'000);
}

TEST_CASE("no budget is no limit") {
  stats::ProcessStats stats{};
  const Budget budget({}, 16, stats);
  CHECK(budget.resident_limit_pages() == Budget::kUnlimited);
}

TEST_CASE("staging takes a part of the budget, never more than half") {
  stats::ProcessStats stats{};
  Budget small({Bytes{0}, std::nullopt}, 64, stats);
  CHECK(small.staging_pages() == small.limit_pages() / 2);
  const Budget large({Bytes{1 * kGiB}, std::nullopt}, 16, stats);
  CHECK(large.staging_pages() == 4096);
  CHECK(large.resident_limit_pages() + large.staging_pages() == large.limit_pages());
}

TEST_CASE("a pin covers its pages until it is withdrawn") {
  auto pins = *Pins::create();
  const auto outer = pins.publish({PageNumber{10}, PageCount{4}});
  CHECK(pins.pinned(PageNumber{8}, 8) == 0b00111100);
  const auto inner = pins.publish({PageNumber{15}, PageCount{1000}});
  CHECK(pins.pinned(PageNumber{8}, 8) == 0b10111100);
  CHECK(pins.pinned(PageNumber{64}, 64) == ~uint64_t{0});
  CHECK(pins.pinned(PageNumber{1015}, 64) == 0);
  pins.withdraw(outer);
  CHECK(pins.pinned(PageNumber{8}, 8) == 0b10000000);
  pins.withdraw(inner);
  CHECK(pins.pinned(PageNumber{0}, 64) == 0);
}

TEST_CASE("a closed gate lets nobody in and waits until all are out") {
  Gate gate;
  REQUIRE(gate.try_enter());
  std::atomic<bool> is_closed{false};
  std::thread closer([&] {
    gate.close();
    is_closed = true;
  });
  while (!gate.is_closed()) std::this_thread::yield();
  CHECK_FALSE(gate.try_enter());
  CHECK_FALSE(is_closed);
  gate.leave();
  closer.join();
  CHECK(is_closed);
  gate.open();
  CHECK(gate.try_enter());
}
