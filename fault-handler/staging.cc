#include "fault-handler/staging.h"

#include <sys/mman.h>

#include <algorithm>
#include <bit>
#include <cstring>

#include "runtime/base/check.h"

namespace tiara::fault {

Result<Staging> Staging::create(uint32_t slots, uint32_t cluster_pages) {
  TIARA_CHECK(slots > 0 && slots <= ClusterWord::kMaxSlots);
  Memory memory;
  TIARA_TRY(memory.table, os::Mapping::anonymous(Bytes{round_up(slots * sizeof(Entry), kPageSize)}));
  const uint64_t places = uint64_t{slots} * cluster_pages;
  TIARA_TRY(memory.frame_numbers, os::Mapping::anonymous(Bytes{round_up(places * sizeof(uint16_t), kPageSize)}));
  TIARA_TRY(memory.frames, os::Mapping::anonymous(Bytes{uint64_t{kFrames} << kPageShift}));
  // A huge page would be accounted whole for one copy; a child has no use for them.
  for (const os::Mapping* sparse : {&memory.frame_numbers, &memory.frames})
    (void)os::raw_madvise(sparse->data(), sparse->size(), MADV_NOHUGEPAGE);
  (void)os::raw_madvise(memory.frames.data(), memory.frames.size(), MADV_DONTFORK);
  TIARA_TRY(NumberRing queue, NumberRing::create(slots));
  return Staging(slots, cluster_pages, std::move(memory), std::move(queue));
}

Staging::Staging(uint32_t slots, uint32_t cluster_pages, Memory memory, NumberRing queue)
    : slot_count_(slots), cluster_pages_(cluster_pages), memory_(std::move(memory)),
      table_(reinterpret_cast<Entry*>(memory_.table.data())),
      frames_(reinterpret_cast<std::atomic<uint16_t>*>(memory_.frame_numbers.data())), queue_(std::move(queue)) {}

// Before anything is staged.
Staging::Staging(Staging&& other) noexcept
    : slot_count_(other.slot_count_), cluster_pages_(other.cluster_pages_), memory_(std::move(other.memory_)),
      table_(other.table_), frames_(other.frames_), queue_(std::move(other.queue_)) {}

uint32_t Staging::take_frame() noexcept {
  const uint32_t words = static_cast<uint32_t>(taken_frames_.size());
  // A hint: a frame below it that was freed meanwhile is found next time round.
  for (uint32_t start = first_open_.load(std::memory_order_relaxed), pass = 0; pass < 2; start = 0, ++pass) {
    for (uint32_t word = start; word < words; ++word) {
      uint64_t taken = taken_frames_[word].load(std::memory_order_relaxed);
      while (taken != ~uint64_t{0}) {
        const auto bit = static_cast<uint32_t>(std::countr_one(taken));
        // Acquire: pairs with drop_copies(); the last owner has read its bytes.
        if (!taken_frames_[word].compare_exchange_weak(taken, taken | uint64_t{1} << bit, std::memory_order_acquire))
          continue;
        first_open_.store(word, std::memory_order_relaxed);
        return word * 64 + bit;
      }
    }
  }
  return kNoFrame;
}

bool Staging::copy_in(StagingSlot slot, uint32_t position, const std::byte* bytes) noexcept {
  TIARA_DCHECK((copied(slot) >> position & 1) == 0);
  const uint32_t frame = take_frame();
  if (frame == kNoFrame) return false;
  memcpy(frame_bytes(frame), bytes, kPageSize);
  frames_[index_of(slot, position)].store(static_cast<uint16_t>(frame), std::memory_order_relaxed);
  // Release: pairs with copied(). The page's word orders it too, for whoever claims the page as staged.
  table_[slot.value].copied.fetch_or(uint64_t{1} << position, std::memory_order_release);
  return true;
}

void Staging::drop_copies(StagingSlot slot, uint64_t positions) noexcept {
  const uint64_t dropped = table_[slot.value].copied.fetch_and(~positions, std::memory_order_acq_rel) & positions;
  uint32_t lowest = UINT32_MAX;
  for (uint64_t rest = dropped; rest != 0; rest &= rest - 1) {
    const auto position = static_cast<uint32_t>(std::countr_zero(rest));
    const uint32_t frame = frames_[index_of(slot, position)].load(std::memory_order_relaxed);
    taken_frames_[frame / 64].fetch_and(~(uint64_t{1} << frame % 64), std::memory_order_release);
    lowest = std::min(lowest, frame / 64);
  }
  if (lowest < first_open_.load(std::memory_order_relaxed)) first_open_.store(lowest, std::memory_order_relaxed);
}

uint64_t Staging::copies() const noexcept {
  uint64_t count = 0;
  for (const auto& word : taken_frames_)
    count += static_cast<uint64_t>(std::popcount(word.load(std::memory_order_relaxed)));
  return count;
}

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
  TIARA_CHECK(entry.copied.load(std::memory_order_relaxed) == 0);
  TIARA_CHECK(entry.owner.exchange(0, std::memory_order_release) != 0);
}

}  // namespace tiara::fault
