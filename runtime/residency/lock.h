// The one lock of residency: which ranges are mapped. Never taken by a fault, so a thread may fault while it waits
// for it, but its holder runs no signal handler (SignalsBlocked), because that handler could map memory.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>

#include "fault-handler/service_thread.h"
#include "runtime/os/futex.h"

namespace tiara::residency {

// A futex mutex (0 free, 1 held, 2 held with waiters): no libc, so it works inside malloc and across fork.
class Lock {
 public:
  void acquire() noexcept {
    uint32_t seen = 0;
    if (word_.compare_exchange_strong(seen, 1, std::memory_order_acquire)) return;
    while (word_.exchange(2, std::memory_order_acquire) != 0)
      (void)os::futex_wait(word_, 2, std::chrono::milliseconds(50), os::FutexScope::kPrivate);
  }
  void release() noexcept {
    if (word_.exchange(0, std::memory_order_release) == 2) os::futex_wake_one(word_, os::FutexScope::kPrivate);
  }

 private:
  std::atomic<uint32_t> word_{0};
};

// Signals blocked first, unblocked last.
class Locked {
 public:
  explicit Locked(Lock& lock) noexcept : lock_(lock) { lock_.acquire(); }
  ~Locked() { lock_.release(); }
  Locked(const Locked&) = delete;
  Locked& operator=(const Locked&) = delete;

 private:
  fault::SignalsBlocked blocked_;
  Lock& lock_;
};

}  // namespace tiara::residency
