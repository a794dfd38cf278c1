// A lock for the data path inside other people's processes: a futex word, waited for with a bound. No libc, so it works
// in signal handlers; its holder runs no signal handler of the program (the pager blocks signals around its calls).
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>

#include "runtime/os/clock.h"
#include "runtime/os/futex.h"

namespace tiara::os {

class FutexLock {
 public:
  [[nodiscard]] bool try_acquire() noexcept {
    uint32_t free = 0;
    // Sequentially consistent: whoever announced that it waits and then fails here is seen by release()'s caller, who
    // looks for waiters afterwards.
    return word_.compare_exchange_strong(free, kHeld, std::memory_order_seq_cst);
  }
  // False: the deadline passed first.
  [[nodiscard]] bool acquire_until(Nanoseconds deadline) noexcept {
    if (try_acquire()) return true;
    while (word_.exchange(kContended, std::memory_order_seq_cst) != 0) {
      const Nanoseconds left = deadline - monotonic_now();
      if (left <= Nanoseconds::zero()) return false;  // the word stays contended: one wake too many, no harm
      (void)futex_wait(word_, kContended, std::min(left, kSlice), FutexScope::kPrivate);
    }
    return true;
  }
  void release() noexcept {
    if (word_.exchange(0, std::memory_order_seq_cst) == kContended) futex_wake_one(word_, FutexScope::kPrivate);
  }

 private:
  static constexpr uint32_t kHeld = 1, kContended = 2;
  static constexpr Nanoseconds kSlice{50'000'000};
  std::atomic<uint32_t> word_{0};
};

}  // namespace tiara::os
