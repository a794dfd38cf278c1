// Pins: ranges of far pages that the kernel is about to use and that eviction must leave alone.
//
// Hazard slots: a pin publishes its range first and makes the pages resident second; an evictor claims a page's
// word first and looks at the slots second. Both are sequentially consistent, so one of the two sees the other: either
// the evictor leaves the page, or the pin meets the claimed word and waits for the outcome (Dekker's argument).
#pragma once

#include <atomic>
#include <cstdint>

#include "runtime/base/error.h"
#include "runtime/base/units.h"
#include "runtime/os/memory.h"

namespace tiara::residency {

struct PinSlot {
  uint32_t value = UINT32_MAX;
  bool is_valid() const { return value != UINT32_MAX; }
};

class Pins {
 public:
  // Threads times nested pins (readv pins each of its buffers). Beyond it a system call would have to fail.
  static constexpr uint32_t kSlots = 8192;

  static Result<Pins> create();
  Pins(Pins&& other) noexcept : memory_(std::move(other.memory_)), slots_(other.slots_) {}

  // Async-signal-safe, lock-free. The range has at least one page.
  PinSlot publish(PageRange range) noexcept;
  void withdraw(PinSlot slot) noexcept;

  // Which of the `count` (at most 64) pages from `first` are pinned now. For evictors that own those pages.
  uint64_t pinned(PageNumber first, uint32_t count) const noexcept;

 private:
  // One slot a cache line: each is written twice per system call by its thread.
  struct alignas(64) Slot {
    std::atomic<uint64_t> range{0};  // first page << 24 | pages; 0 = free
  };
  explicit Pins(os::Mapping memory) : memory_(std::move(memory)), slots_(reinterpret_cast<Slot*>(memory_.data())) {}
  os::Mapping memory_;
  Slot* slots_;
  std::atomic<uint32_t> used_{0};  // slots below this have been used: how far evictors must look
};

}  // namespace tiara::residency
