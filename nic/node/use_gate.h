// Counts who is inside something that can be closed: an address space, an operator. Entering is one atomic
// operation on the data path; closing is rare and waits for those inside, which verified bounds keep short.
#pragma once

#include <atomic>
#include <cstdint>

namespace tiara::nic {

class UseGate {
 public:
  // False: closed, and nothing may be touched. Else leave() must follow.
  [[nodiscard]] bool try_enter() noexcept {
    // Acquire: pairs with open() and resume(), so that what was set up before is seen.
    if ((word_.fetch_add(1, std::memory_order_acquire) & ~kCount) == 0) return true;
    return try_enter_slow();
  }
  // Release: pairs with close_and_drain(), so that what was done inside is seen there.
  void leave() noexcept { word_.fetch_sub(1, std::memory_order_release); }

  void open() noexcept { word_.fetch_and(~kClosed, std::memory_order_release); }
  // Nobody enters from now on; returns when nobody is inside. Idempotent.
  void close_and_drain() noexcept;
  // Those who come from now on wait, those inside are waited for. For moments only: waiting is a loop of yields.
  void pause_and_drain() noexcept;
  void resume() noexcept { word_.fetch_and(~kPaused, std::memory_order_release); }
  bool is_closed() const noexcept { return (word_.load(std::memory_order_acquire) & kClosed) != 0; }

 private:
  static constexpr uint32_t kClosed = 1u << 31;
  static constexpr uint32_t kPaused = 1u << 30;
  static constexpr uint32_t kCount = kPaused - 1;
  bool try_enter_slow() noexcept;
  std::atomic<uint32_t> word_{kClosed};
};

}  // namespace tiara::nic
