#include "fault-handler/chase.h"

#include "runtime/base/check.h"

namespace tiara::fault {

void ChaseRules::write(Place& place, const ChaseRule& rule) noexcept {
  const uint32_t sequence = place.sequence.load(std::memory_order_relaxed);
  place.sequence.store(sequence + 1, std::memory_order_relaxed);
  // Release: pairs with find(); who sees any of what follows sees that it is being written.
  std::atomic_thread_fence(std::memory_order_release);
  place.base.store(rule.base, std::memory_order_relaxed);
  place.begin.store(rule.begin, std::memory_order_relaxed);
  place.end.store(rule.end, std::memory_order_relaxed);
  place.object_bytes.store(rule.object_bytes, std::memory_order_relaxed);
  place.link_offset.store(rule.link_offset, std::memory_order_relaxed);
  place.hops.store(rule.hops, std::memory_order_relaxed);
  place.sequence.store(sequence + 2, std::memory_order_release);  // pairs with find()
}

bool ChaseRules::add(const ChaseRule& rule) noexcept {
  TIARA_CHECK(rule.begin < rule.end && rule.hops >= 1 && rule.hops <= kMostHops &&
              rule.link_offset + sizeof(uint64_t) <= rule.object_bytes);
  const uint32_t used = used_.load(std::memory_order_relaxed);
  Place* free = nullptr;
  for (uint32_t i = 0; i < used; ++i) {
    Place& place = places_[i];
    const uint64_t begin = place.begin.load(std::memory_order_relaxed);
    const uint64_t end = place.end.load(std::memory_order_relaxed);
    if (begin == rule.begin && end == rule.end) {
      free = &place;
      break;
    }
    if (end == 0 && free == nullptr) free = &place;
  }
  if (free == nullptr) {
    if (used == kMostRules) return false;
    free = &places_[used];
    used_.store(used + 1, std::memory_order_release);  // pairs with find()
  }
  write(*free, rule);
  return true;
}

void ChaseRules::remove(uint64_t begin, uint64_t end) noexcept {
  const uint32_t used = used_.load(std::memory_order_relaxed);
  for (uint32_t i = 0; i < used; ++i) {
    const uint64_t at = places_[i].begin.load(std::memory_order_relaxed);
    if (places_[i].end.load(std::memory_order_relaxed) != 0 && at >= begin && at < end) write(places_[i], {});
  }
}

std::optional<pagetable::Chase> ChaseRules::find(uint64_t offset) const noexcept {
  const uint32_t used = used_.load(std::memory_order_acquire);  // pairs with add()
  for (uint32_t i = 0; i < used; ++i) {
    const Place& place = places_[i];
    const uint32_t before = place.sequence.load(std::memory_order_acquire);  // pairs with write()
    if ((before & 1) != 0) continue;  // a rule that is being changed does not count yet
    const ChaseRule rule{place.base.load(std::memory_order_relaxed),
                         place.begin.load(std::memory_order_relaxed),
                         place.end.load(std::memory_order_relaxed),
                         place.object_bytes.load(std::memory_order_relaxed),
                         place.link_offset.load(std::memory_order_relaxed), place.hops.load(std::memory_order_relaxed)};
    std::atomic_thread_fence(std::memory_order_acquire);  // pairs with write()
    if (place.sequence.load(std::memory_order_relaxed) != before) continue;
    if (offset < rule.begin || offset >= rule.end) continue;
    const uint64_t object = offset - (offset - rule.begin) % rule.object_bytes;
    const uint64_t link = object + rule.link_offset;
    if (link >> kPageShift != offset >> kPageShift) return std::nullopt;
    return pagetable::Chase{PageNumber{offset >> kPageShift}, link, rule.base, rule.link_offset, rule.hops + 1};
  }
  return std::nullopt;
}

}  // namespace tiara::fault
