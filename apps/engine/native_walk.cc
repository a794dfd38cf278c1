#include "apps/engine/native_walk.h"

namespace tiara::apps::engine {

using namespace nic::pool;

namespace {

[[gnu::always_inline]] inline uint64_t walk(const std::byte* pool, const SpaceDescriptor& space, uint64_t page) {
  if (page >= space.max_pages) return 0;
  uint64_t entry = entry_of(space.root);
  for (auto level = static_cast<uint32_t>(space.levels); entry != 0 && level > 0; --level)
    entry = __atomic_load_n(reinterpret_cast<const uint64_t*>(pool + entry) + entry_index(page, level),
                            __ATOMIC_ACQUIRE);
  return entry;
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
