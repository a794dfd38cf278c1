#include "fault-handler/reply_buffers.h"

#include <bit>
#include <sched.h>

namespace tiara::fault {

Result<ReplyBuffers> ReplyBuffers::create() {
  TIARA_TRY(os::Mapping memory, os::Mapping::anonymous(Bytes{uint64_t{kBuffers} * kPagesEach * kPageSize}));
  return ReplyBuffers(std::move(memory));
}

uint32_t ReplyBuffers::take() noexcept {
  for (;;) {
    uint64_t free = free_.load(std::memory_order_relaxed);
    while (free != 0) {
      // The lowest free one, so that few buffers are ever touched. Acquire: pairs with give_back().
      const uint64_t lowest = free & -free;
      if (free_.compare_exchange_weak(free, free & ~lowest, std::memory_order_acquire))
        return static_cast<uint32_t>(std::countr_zero(lowest));
    }
    sched_yield();  // every holder is in a fetch, whose length the store bounds
  }
}

void ReplyBuffers::give_back(uint32_t index) noexcept {
  free_.fetch_or(uint64_t{1} << index, std::memory_order_release);
}

}  // namespace tiara::fault
