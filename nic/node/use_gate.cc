#include "nic/node/use_gate.h"

#include <sched.h>

namespace tiara::nic {

void UseGate::close_and_drain() noexcept {
  word_.fetch_or(kClosed, std::memory_order_acquire);
  // Not a spin without a bound: every user inside runs a program of proved length.
  while ((word_.load(std::memory_order_acquire) & kCount) != 0) sched_yield();
}

void UseGate::pause_and_drain() noexcept {
  word_.fetch_or(kPaused, std::memory_order_acquire);
  while ((word_.load(std::memory_order_acquire) & kCount) != 0) sched_yield();
}

// Entered while it was closed, or paused: whoever paused it runs one program of proved length.
bool UseGate::try_enter_slow() noexcept {
  for (;;) {
    leave();
    while ((word_.load(std::memory_order_acquire) & kPaused) != 0) sched_yield();
    if (is_closed()) return false;
    if ((word_.fetch_add(1, std::memory_order_acquire) & ~kCount) == 0) return true;
  }
}

}  // namespace tiara::nic
