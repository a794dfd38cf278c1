#include "apps/engine/core_share.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>

namespace tiara::apps::engine {
namespace {

using Clock = std::chrono::steady_clock;
constexpr uint64_t kTurns = 100;  // of 64 additions a chain: 2 us
constexpr size_t kSamples = 9;

template <typename Chains>
double median_time(Chains&& chains) noexcept {
  std::array<double, kSamples> times;
  for (double& time : times) {
    const auto start = Clock::now();
    chains();
    time = std::chrono::duration<double>(Clock::now() - start).count();
  }
  std::sort(times.begin(), times.end());
  return times[kSamples / 2];
}

// `Chains` sums that do not wait for each other, 64 additions each a turn.
template <size_t Chains>
void add() noexcept {
  uint64_t sums[Chains] = {};
  for (uint64_t turn = 0; turn < kTurns; ++turn) {
#pragma GCC unroll 64
    for (int n = 0; n < 64; ++n)
#pragma GCC unroll 8
      for (uint64_t& sum : sums) {
        sum += turn;
        asm volatile("" : "+r"(sum));  // each one is done, in a register
      }
  }
}

}  // namespace

double contention() noexcept {
  const double one = median_time(add<1>);
  return median_time(add<4>) / one;
}

}  // namespace tiara::apps::engine
