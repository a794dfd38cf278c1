#include "runtime/residency/pins.h"

#include <algorithm>

#include "runtime/base/check.h"

namespace tiara::residency {
namespace {

constexpr uint32_t kCountBits = 24;
constexpr uint64_t kMaxCount = (uint64_t{1} << kCountBits) - 1;  // 64 GiB in one system call

// Where this thread looks first: past the pins that it holds (they nest), at the slot that it gave back last.
thread_local constinit uint32_t hint = 0;

}  // namespace

Result<Pins> Pins::create() {
  TIARA_TRY(os::Mapping memory, os::Mapping::anonymous(Bytes{kSlots * sizeof(Slot)}));
  return Pins(std::move(memory));
}

PinSlot Pins::publish(PageRange range) noexcept {
  TIARA_CHECK(range.count.value > 0 && range.count.value <= kMaxCount);
  const uint64_t packed = (range.first.value << kCountBits) | range.count.value;
  for (uint32_t i = 0; i < kSlots; ++i) {
    const uint32_t slot = (hint + i) % kSlots;
    uint64_t free = 0;
    if (slots_[slot].range.load(std::memory_order_relaxed) != 0) continue;
    // The high-water mark goes first: an evictor that misses it started before this pin was published.
    uint32_t used = used_.load(std::memory_order_seq_cst);
    while (used <= slot && !used_.compare_exchange_weak(used, slot + 1, std::memory_order_seq_cst)) {
    }
    if (!slots_[slot].range.compare_exchange_strong(free, packed, std::memory_order_seq_cst)) continue;
    hint = slot + 1;
    return PinSlot{slot};
  }
  TIARA_CHECK(!"more system calls at once than there are pins");
  return PinSlot{};
}

void Pins::withdraw(PinSlot slot) noexcept {
  // Release: the kernel's use of the pages came before.
  slots_[slot.value].range.store(0, std::memory_order_release);
  // So that pins stay at the low end, however they nest: an evictor looks at every slot that was ever used.
  hint = std::min(hint, slot.value);
}

uint64_t Pins::pinned(PageNumber first, uint32_t count) const noexcept {
  uint64_t mask = 0;
  const uint32_t used = used_.load(std::memory_order_seq_cst);
  for (uint32_t slot = 0; slot < used; ++slot) {
    const uint64_t packed = slots_[slot].range.load(std::memory_order_seq_cst);
    if (packed == 0) continue;
    const uint64_t from = std::max(packed >> kCountBits, first.value);
    const uint64_t to = std::min((packed >> kCountBits) + (packed & kMaxCount), first.value + count);
    if (from >= to) continue;
    const uint64_t length = to - from;
    const uint64_t bits = length == 64 ? ~uint64_t{0} : (uint64_t{1} << length) - 1;
    mask |= bits << (from - first.value);
  }
  return mask;
}

}  // namespace tiara::residency
