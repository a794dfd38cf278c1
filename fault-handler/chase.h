// Where the program has lists, and how they are linked: a fetch follows the links on the node (pt_chase).
//
// The program says: objects of so many bytes, one behind the other from this address, the pointer to the next one that
// far inside each (tiara_follow in tiara.h). Rules are looked up in the path of a fault: no lock, no allocation.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "pagetable/page_store.h"
#include "runtime/base/units.h"

namespace tiara::fault {

struct ChaseRule {
  uint64_t base = 0;   // the address of byte offset 0
  uint64_t begin = 0;  // byte offsets in the far space, [begin, end)
  uint64_t end = 0;
  uint64_t object_bytes = 0;
  uint64_t link_offset = 0;  // of the pointer in an object; link_offset + 8 <= object_bytes
  uint32_t hops = 0;         // 1 to kMostHops
};

class ChaseRules {
 public:
  static constexpr uint32_t kMostRules = 64;
  static constexpr uint32_t kMostHops = pagetable::kMostChaseLooks - 1;

  // False when all places are taken. A rule for the same range takes the place of the old one. Not for two threads at
  // once: the caller holds a lock.
  [[nodiscard]] bool add(const ChaseRule& rule) noexcept;
  // Forgets the rules whose range begins in [begin, end). Under the same lock.
  void remove(uint64_t begin, uint64_t end) noexcept;

  // What to ask the node for when the byte at `offset` faults; nothing when no rule says, or when the object's pointer
  // lies on another page than the fault.
  std::optional<pagetable::Chase> find(uint64_t offset) const noexcept;

 private:
  // A sequence lock: odd while it is being written. Everything in it is atomic, so that a torn read is no data race.
  struct Place {
    std::atomic<uint32_t> sequence{0};
    std::atomic<uint64_t> base{0}, begin{0}, end{0}, object_bytes{0}, link_offset{0};
    std::atomic<uint32_t> hops{0};
  };
  void write(Place& place, const ChaseRule& rule) noexcept;

  std::array<Place, kMostRules> places_;
  std::atomic<uint32_t> used_{0};  // places below this have been used
};

}  // namespace tiara::fault
