// A gate that work passes through and that can be closed: whoever closes it knows that none is inside. Used to hold
// eviction still while the process forks. Entering is one atomic addition and never waits.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>

#include "runtime/os/futex.h"

namespace tiara::residency {

class Gate {
 public:
  [[nodiscard]] bool try_enter() noexcept {
    // Acquire-release: pairs with close(), which must see what was done inside.
    if ((state_.fetch_add(1, std::memory_order_acq_rel) & kClosed) == 0) return true;
    leave();
    return false;
  }
  void leave() noexcept {
    const uint32_t before = state_.fetch_sub(1, std::memory_order_acq_rel);
    if (before == (kClosed | 1)) os::futex_wake_all(state_, os::FutexScope::kPrivate);
  }
  bool is_closed() const noexcept { return (state_.load(std::memory_order_relaxed) & kClosed) != 0; }

  // Waits until nobody is inside. Nobody may wait for the closer while inside. Closings nest not.
  void close() noexcept {
    uint32_t seen = state_.fetch_or(kClosed, std::memory_order_acq_rel) | kClosed;
    while (seen != kClosed) {
      (void)os::futex_wait(state_, seen, std::chrono::milliseconds(50), os::FutexScope::kPrivate);
      seen = state_.load(std::memory_order_acquire);
    }
  }
  void open() noexcept { state_.fetch_and(~kClosed, std::memory_order_release); }
  // In a forked child, where nobody else is left to leave.
  void reopen_after_fork() noexcept { state_.store(0, std::memory_order_release); }

 private:
  static constexpr uint32_t kClosed = 1u << 31;
  std::atomic<uint32_t> state_{0};  // [30:0] how many are inside
};

}  // namespace tiara::residency
