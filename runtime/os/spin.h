// Waiting for another thread or process without a system call, for as long as that pays and no longer.
//
// Waking a sleeper costs little where its CPU is busy and 10 to 50 us where it is idle (on virtual machines above
// all), so a short wait is better spun. Three rules keep spinning from doing harm:
//   - it is bounded by what sleeping would cost (kBlockCost), so no wait costs more than twice the best choice;
//   - it is given up in advance while recent waits were longer than that;
//   - it yields now and then, and stops at once when the CPU turns out to be wanted by others;
//   - where the other side last ran on this very CPU, it yields at once: nothing can happen while we spin.
#pragma once

#include <atomic>
#include <cstdint>

#include "runtime/os/clock.h"

namespace tiara::os {

inline void cpu_relax() noexcept {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// sched_yield(2) by the raw system call; safe in signal handlers.
void yield_cpu() noexcept;

// The CPU that the calling thread runs on, at this moment; a few nanoseconds.
uint32_t current_cpu() noexcept;

class AdaptiveSpin {
 public:
  // Going to sleep and being woken on an idle virtual CPU: 54 to 76 us were seen, less on bare metal.
  static constexpr Nanoseconds kBlockCost{50'000};
  // What is spun even when it seems hopeless: a peer that is just about to answer.
  static constexpr Nanoseconds kShortSpin{2'000};
  static constexpr uint32_t kNoCpu = UINT32_MAX;
  // How long others on this CPU may wait for us.
  static constexpr Nanoseconds kYieldEvery{3'000};
  // A yield that took this long gave the CPU to somebody with work to do.
  static constexpr Nanoseconds kContendedYield{15'000};

  // Spins until done() (true), or until sleeping is the better way to wait (false). `peer_cpu` says where the other
  // side last ran, kNoCpu when it is not known. Thread-safe, async-signal-safe.
  template <typename Done, typename PeerCpu>
  bool wait(Nanoseconds start, Done&& done, PeerCpu&& peer_cpu) noexcept {
    const Nanoseconds end = start + budget();
    Nanoseconds next_yield = start + kYieldEvery;
    for (;;) {
      // A pause is 5 to 45 ns: half a microsecond at most between two looks at the clock.
      for (int i = 0; i < 10; i++) {
        if (done()) return true;
        if (i == 0 && peer_cpu() == current_cpu()) {
          next_yield = start;
          break;
        }
        cpu_relax();
      }
      const Nanoseconds now = monotonic_now();
      if (now >= end) return done();
      if (now < next_yield) continue;
      yield_cpu();
      const Nanoseconds after = monotonic_now();
      if (after - now > kContendedYield) {
        if (done()) return true;  // done() may act on what it finds: what it said must not be lost
        record(kBlockCost * 2);   // whatever this wait was worth, spinning is not
        return false;
      }
      next_yield = after + kYieldEvery;
    }
  }

  // How long a wait really took, however it was spent: up to the event, not up to our noticing it.
  void record(Nanoseconds waited) noexcept {
    // Moves a quarter of the way, and one endless wait counts no more than a long one, so that three short waits make
    // spinning worth while again. Relaxed, and lost updates do not matter: it is an estimate.
    const int64_t sample = waited.count() < 0 ? 0 : waited < kBlockCost * 4 ? waited.count() : kBlockCost.count() * 4;
    const int64_t old = expected_.load(std::memory_order_relaxed);
    expected_.store(old + (sample - old) / 4, std::memory_order_relaxed);
  }

  Nanoseconds budget() const noexcept {
    return Nanoseconds(expected_.load(std::memory_order_relaxed)) < kBlockCost ? kBlockCost : kShortSpin;
  }

 private:
  std::atomic<int64_t> expected_{0};  // ns
};

}  // namespace tiara::os
