#include "fault-handler/staging.h"

#include "runtime/base/check.h"

namespace tiara::fault {

Result<Staging> Staging::create(uint32_t slots, uint32_t cluster_pages) {
  TIARA_CHECK(slots > 0 && slots <= ClusterWord::kMaxSlots);
  TIARA_TRY(os::Mapping memory, os::Mapping::anonymous(Bytes{round_up(slots * sizeof(Entry), kPageSize)}));
  TIARA_TRY(NumberRing queue, NumberRing::create(slots));
  return Staging(slots, cluster_pages, std::move(memory), std::move(queue));
}

Staging::Staging(Staging&& other) noexcept
    : slot_count_(other.slot_count_), cluster_pages_(other.cluster_pages_), memory_(std::move(other.memory_)),
      table_(other.table_), queue_(std::move(other.queue_)) {}

StagingSlot Staging::acquire(ClusterNumber owner) noexcept {
  const uint32_t start = next_.fetch_add(1, std::memory_order_relaxed) % slot_count_;
  // Slots leave in about the order they came, so the first look nearly always finds one.
  for (uint32_t i = 0; i < slot_count_; ++i) {
    const uint32_t slot = (start + i) % slot_count_;
    uint32_t nobody = 0;
    if (table_[slot].owner.load(std::memory_order_relaxed) != 0) continue;
    // Acquire: pairs with free(), so that the last owner's bytes are gone before ours arrive.
    if (table_[slot].owner.compare_exchange_strong(nobody, owner.value + 1, std::memory_order_acquire))
      return StagingSlot{slot};
  }
  return StagingSlot{};
}

void Staging::free(StagingSlot slot) noexcept {
  Entry& entry = table_[slot.value];
  TIARA_CHECK(entry.populated.load(std::memory_order_relaxed) == 0);
  TIARA_CHECK(entry.owner.exchange(0, std::memory_order_release) != 0);
}

}  // namespace tiara::fault
