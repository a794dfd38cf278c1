#include "runtime/preload/guard.h"

#include <algorithm>
#include <atomic>
#include <new>

#include "runtime/preload/alternate_stack.h"
#include "runtime/preload/raw_calls.h"

namespace tiara::preload {

constinit GuardedRange guarded_range;
constinit GuardedRange signal_range;
constinit bool copies_short_sends_ = false;

namespace {

// Pins live beside the stack, not on it: a call that is left by siglongjmp or by cancellation never runs its
// destructors, and the next Guards of the thread clears up what it finds below its own frame.
struct Entry {
  uintptr_t frame;
  bool is_live;
  alignas(FarMemory::Pin) std::byte pin[sizeof(FarMemory::Pin)];
};

// The most that one call names is 8, and signal handlers nest a few calls.
constexpr uint32_t kMaxPins = 40;

struct PinStack {
  uint32_t count = 0;
  Entry entries[kMaxPins];
};
constinit thread_local PinStack pin_stack{};

void drop_to(uint32_t count) noexcept {
  while (pin_stack.count > count) {
    Entry& entry = pin_stack.entries[pin_stack.count - 1];
    if (entry.is_live) reinterpret_cast<FarMemory::Pin*>(entry.pin)->~Pin();
    entry.is_live = false;
    // A signal handler that comes here must find the entry either whole or gone.
    std::atomic_signal_fence(std::memory_order_seq_cst);
    --pin_stack.count;
  }
}

uintptr_t this_frame() noexcept { return reinterpret_cast<uintptr_t>(__builtin_frame_address(0)); }

// Entries of frames that are gone: the stack grows down, so a live frame lies above ours, unless we run on the
// alternate stack, from where nothing can be said.
void drop_dead(uintptr_t frame) noexcept {
  if (is_on_alternate_stack()) return;
  uint32_t live = pin_stack.count;
  while (live > 0 && (pin_stack.entries[live - 1].frame < frame ||
                      is_in_alternate_stack(pin_stack.entries[live - 1].frame)))
    --live;
  drop_to(live);
}

}  // namespace

Guards::Guards() noexcept {
  if (pin_stack.count != 0) [[unlikely]] drop_dead(this_frame());
  base_ = pin_stack.count;
}

Guards::~Guards() {
  if (pin_stack.count != base_) drop_to(base_);
}

void Guards::add(const void* address, size_t length, FarMemory::PinFor reader) noexcept {
  // The guarded range, where it is not empty, is the same.
  const uintptr_t offset = reinterpret_cast<uintptr_t>(address) - signal_range.base;
  length = std::min(length, signal_range.size - offset);
  if (length == 0 || pin_stack.count == kMaxPins) return;
  Entry& entry = pin_stack.entries[pin_stack.count];
  entry.frame = reinterpret_cast<uintptr_t>(this);
  entry.is_live = false;
  ++pin_stack.count;
  std::atomic_signal_fence(std::memory_order_seq_cst);  // a signal handler from here on uses the next entry
  {
    const RuntimeCalls ours;
    new (entry.pin) FarMemory::Pin(address, length, reader);
  }
  std::atomic_signal_fence(std::memory_order_seq_cst);
  entry.is_live = true;
}

void forget_pins_of_this_thread() noexcept { drop_to(0); }

}  // namespace tiara::preload
