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
    // Acquire: pairs with open(), so that what was set up before is seen.
    if ((word_.fetch_add(1, std::memory_order_acquire) & kClosed) == 0) return true;
    leave();
    return false;
  }
  // Release: pairs with close_and_drain(), so that what was done inside is seen there.
  void leave() noexcept { word_.fetch_sub(1, std::memory_order_release); }

  void open() noexcept { word_.fetch_and(~kClosed, std::memory_order_release); }
  // Nobody enters from now on; returns when nobody is inside. Idempotent.
  void close_and_drain() noexcept;
  bool is_closed() const noexcept { return (word_.load(std::memory_order_acquire) & kClosed) != 0; }

 private:
  static constexpr uint32_t kClosed = 1u << 31;
  std::atomic<uint32_t> word_{kClosed};
};

}  // namespace tiara::nic
