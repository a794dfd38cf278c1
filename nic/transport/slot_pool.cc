#include "nic/transport/slot_pool.h"

#include <bit>

#include "runtime/base/check.h"
#include "runtime/os/futex.h"

namespace tiara::nic {
namespace {

constexpr uint64_t low_bits(uint32_t count) { return count == 64 ? ~uint64_t{0} : (uint64_t{1} << count) - 1; }

}  // namespace

SlotPool::SlotPool(uint32_t slots) noexcept
    : posted_mask_(low_bits(slots) & ~low_bits(slots / 4)), call_mask_(low_bits(slots)), free_(low_bits(slots)) {
  TIARA_CHECK(slots >= 1 && slots <= wire::kMaxSlots);
}

uint32_t SlotPool::try_take(wire::Lane lane) noexcept {
  const uint64_t mask = lane == wire::Lane::kCall ? call_mask_ : posted_mask_;
  uint64_t free = free_.load(std::memory_order_relaxed);
  while ((free & mask) != 0) {
    const int slot = std::countr_zero(free & mask);
    // Acquire: pairs with release(), so that the last user's reads of the slot are over.
    if (free_.compare_exchange_weak(free, free & ~(uint64_t{1} << slot), std::memory_order_acquire,
                                    std::memory_order_relaxed))
      return static_cast<uint32_t>(slot);
  }
  return kNone;
}

uint32_t SlotPool::take(wire::Lane lane, std::chrono::nanoseconds slice) noexcept {
  if (const uint32_t slot = try_take(lane); slot != kNone) return slot;
  // Sequentially consistent: either release() sees this waiter, or the second look sees the slot.
  waiters_.fetch_add(1, std::memory_order_seq_cst);
  const uint32_t releases = releases_.load(std::memory_order_seq_cst);
  uint32_t slot = try_take(lane);
  if (slot == kNone) {
    (void)os::futex_wait(releases_, releases, slice, os::FutexScope::kPrivate);  // whatever woke us: look again
    slot = try_take(lane);
  }
  waiters_.fetch_sub(1, std::memory_order_relaxed);
  return slot;
}

void SlotPool::release(uint32_t slot) noexcept {
  const uint64_t bit = uint64_t{1} << slot;
  // Release: pairs with try_take(). Sequentially consistent: pairs with the waiter's two steps in take().
  const uint64_t before = free_.fetch_or(bit, std::memory_order_seq_cst);
  TIARA_CHECK((before & bit) == 0);
  if (waiters_.load(std::memory_order_seq_cst) == 0) return;
  releases_.fetch_add(1, std::memory_order_seq_cst);
  // All: a waiter of the posted lane may not be able to use a slot that a call could.
  os::futex_wake_all(releases_, os::FutexScope::kPrivate);
}

bool SlotPool::is_taken(uint32_t slot) const noexcept {
  return slot < wire::kMaxSlots && (call_mask_ >> slot & 1) != 0 &&
         (free_.load(std::memory_order_relaxed) >> slot & 1) == 0;
}

}  // namespace tiara::nic
