// Which slots of a channel are taken: one word of bits, private to the client.
//
// Slots are taken lowest first, so that few are ever touched and those stay warm. The lowest quarter is for calls
// alone: posted requests that nobody has collected can then never keep a fault from being served.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>

#include "nic/wire/shm_layout.h"

namespace tiara::nic {

class SlotPool {
 public:
  // `slots` is 1 to wire::kMaxSlots.
  explicit SlotPool(uint32_t slots) noexcept;

  static constexpr uint32_t kNone = UINT32_MAX;

  // kNone when none is free for this lane. Lock-free, async-signal-safe.
  uint32_t try_take(wire::Lane lane) noexcept;
  // Waits at most `slice` for a release when none is free; kNone: look around (is the node lost?) and call again.
  uint32_t take(wire::Lane lane, std::chrono::nanoseconds slice) noexcept;
  void release(uint32_t slot) noexcept;
  bool is_taken(uint32_t slot) const noexcept;

 private:
  const uint64_t posted_mask_;
  const uint64_t call_mask_;
  std::atomic<uint64_t> free_;
  std::atomic<uint32_t> releases_{0};  // the futex that waiters sleep on
  std::atomic<uint32_t> waiters_{0};
};

}  // namespace tiara::nic
