// Who is served next where several tenants wait: start-time fair queueing (Goyal, Vin, Cheng 1996) over the time that
// each has been served for, by weight.
//
// Each tenant has a virtual time, which serving it moves on by what that took, over its weight. The one that is least
// far on comes next. A tenant that had nothing to do does not save up: it begins where those are who are served now.
// Not thread-safe: a worker's own.
#pragma once

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>

#include "nic/node/tenants.h"
#include "nic/wire/types.h"

namespace tiara::nic {

class FairShare {
 public:
  // How much of one tenant's another's call may stand behind: of the largest reads, some 20 us each.
  static constexpr uint32_t kCallsInTurn = 4;

  bool comes_before(TenantId a, TenantId b) const noexcept { return time_of(a) < time_of(b); }

  // `tenant` was served, at its turn, for `duration`.
  void charge(TenantId tenant, std::chrono::nanoseconds duration, uint32_t weight) noexcept {
    now_ = time_of(tenant);
    times_[tenant.value] = now_ + static_cast<uint64_t>(std::max<int64_t>(duration.count(), 1)) * kScale / weight;
  }

 private:
  static constexpr uint64_t kScale = 1024;  // weights of up to 1000 divide without losing much
  uint64_t time_of(TenantId tenant) const noexcept { return std::max(times_[tenant.value], now_); }
  std::array<uint64_t, kMaxTenants + 1> times_{};  // the peers' is the last
  uint64_t now_ = 0;  // the virtual time at which whoever was served last began
};

}  // namespace tiara::nic
