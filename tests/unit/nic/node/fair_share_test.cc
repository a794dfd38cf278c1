#include "nic/node/fair_share.h"

#include <array>

#include <catch2/catch.hpp>

using namespace tiara;
using namespace tiara::nic;
using namespace std::chrono_literals;

namespace {

constexpr TenantId kRed{0}, kBlue{1};

TEST_CASE("workers give tenants their weights' shares, however long the calls are that each brings") {
  FairShare share;
  std::array<uint64_t, 2> served{};
  // Red's turns are ten times as long; blue has twice the weight.
  for (int turn = 0; turn < 30'000; ++turn) {
    const TenantId next = share.comes_before(kBlue, kRed) ? kBlue : kRed;
    const uint64_t nanoseconds = next == kRed ? 10'000 : 1'000;
    served[next.value] += nanoseconds;
    share.charge(next, std::chrono::nanoseconds(nanoseconds), next == kRed ? 1 : 2);
  }
  CHECK(static_cast<double>(served[1]) / static_cast<double>(served[0]) == Approx(2).epsilon(0.01));
}

TEST_CASE("a tenant that was away saves nothing up, and is not made to wait either") {
  FairShare share;
  for (int turn = 0; turn < 1000; ++turn) share.charge(kRed, 1us, 1);
  CHECK(share.comes_before(kBlue, kRed));
  uint32_t in_a_row = 0;
  while (share.comes_before(kBlue, kRed)) {
    share.charge(kBlue, 1us, 1);
    REQUIRE(++in_a_row < 5);
  }
}

TEST_CASE("turns that the clock cannot tell apart move a tenant on all the same") {
  FairShare share;
  share.charge(kRed, 0ns, 1000);
  CHECK(share.comes_before(kBlue, kRed));
}

}  // namespace
