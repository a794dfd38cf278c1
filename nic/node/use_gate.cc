#include "nic/node/use_gate.h"

#include <sched.h>

namespace tiara::nic {

void UseGate::close_and_drain() noexcept {
  word_.fetch_or(kClosed, std::memory_order_acquire);
  // Not a spin without a bound: every user inside runs a program of proved length.
  while ((word_.load(std::memory_order_acquire) & ~kClosed) != 0) sched_yield();
}

}  // namespace tiara::nic
