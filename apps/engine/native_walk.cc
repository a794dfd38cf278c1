#include "apps/engine/native_walk.h"

namespace tiara::apps::engine {

using namespace nic::pool;

namespace {

uint64_t load(const uint64_t* word) { return __atomic_load_n(word, __ATOMIC_ACQUIRE); }

// As pt_walk: an entry counts if the space's generation has not moved since the walk began.
[[gnu::always_inline]] inline uint64_t walk(const std::byte* pool, const SpaceDescriptor& space, uint64_t page) {
  if (page >= space.max_pages) return 0;
  for (int tries = 0; tries < 8; ++tries) {
    const uint64_t generation = load(&space.generation);
    uint64_t entry = load(&space.root);
    bool has_moved = false;
    for (auto level = static_cast<uint32_t>(space.levels); entry != 0 && level > 0; --level) {
      const std::byte* const table = pool + (entry & ~kEntryFlagsMask);
      entry = load(reinterpret_cast<const uint64_t*>(table) + entry_index(page, level));
      if (load(&space.generation) != generation) {
        has_moved = true;
        break;
      }
    }
    if (!has_moved) return entry;
  }
  return 0;
}

}  // namespace

uint64_t native_walk(const std::byte* pool, const SpaceDescriptor& space, uint64_t page) noexcept {
  return walk(pool, space, page);
}

nic::Outcome native_operator(const nic::Invocation& invocation) noexcept {
  nic::Outcome outcome;
  if (invocation.arguments.size() == 1) {
    const auto& space = *reinterpret_cast<const SpaceDescriptor*>(invocation.regions[1].base);
    outcome.status = nic::Status::kOk;
    outcome.results[0] = walk(invocation.regions[0].base, space, invocation.arguments[0]);
  }
  return outcome;
}

}  // namespace tiara::apps::engine
