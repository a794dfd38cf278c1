// Monotonic time. Components that decide by time take a Clock, so that tests advance it by hand.
#pragma once

#include <chrono>
#include <cstdint>

namespace tiara::os {

using Nanoseconds = std::chrono::nanoseconds;

// CLOCK_MONOTONIC by the vDSO: no system call, safe on the fault path.
Nanoseconds monotonic_now() noexcept;

class Clock {
 public:
  virtual ~Clock() = default;
  virtual Nanoseconds now() const noexcept = 0;
};

class MonotonicClock final : public Clock {
 public:
  Nanoseconds now() const noexcept override { return monotonic_now(); }
};

}  // namespace tiara::os
