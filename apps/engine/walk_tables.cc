#include "apps/engine/walk_tables.h"

#include <emmintrin.h>

#include <random>

namespace tiara::apps::engine {

using namespace nic::pool;

uint64_t* WalkTables::entry(uint64_t table, uint64_t page, uint32_t level) const {
  return reinterpret_cast<uint64_t*>(memory_.data() + table) + entry_index(page, level);
}

Result<WalkTables> WalkTables::create(uint32_t levels, size_t pages, uint64_t seed) {
  WalkTables made;
  // The root, and at most one table a level for each page; pages themselves have a frame number and no frame.
  const uint64_t frames = 2 + uint64_t{levels} * pages;
  TIARA_TRY(made.memory_, os::Mapping::anonymous(Bytes{frames << kPageShift}));
  made.space_ = reinterpret_cast<SpaceDescriptor*>(made.memory_.data());
  *made.space_ = {.root = entry_of(1), .levels = levels, .max_pages = max_pages_for(levels),
                  .pages = pages, .tables = 0,
                  .state = static_cast<uint64_t>(SpaceState::kLive), .generation = 0, .self = 0};
  uint64_t next_frame = 2;
  std::mt19937_64 random(seed);
  while (made.pages_.size() < pages) {
    const uint64_t page = random() % made.space_->max_pages;
    uint64_t table = entry_of(1);
    for (uint32_t level = levels; level > 1; --level) {
      uint64_t* const word = made.entry(table, page, level);
      if (*word == 0) *word = entry_of(next_frame++);
      table = *word;
    }
    *made.entry(table, page, 1) = entry_of(1 + made.pages_.size());
    made.pages_.push_back(page);
  }
  return made;
}

nic::RegionTable WalkTables::regions() const {
  nic::RegionTable regions{};
  regions[0] = {memory_.data(), memory_.size(), nic::Permission::kRead};
  regions[1] = {memory_.data(), kDescriptorBytes, nic::Permission::kRead};
  return regions;
}

void WalkTables::make_cold(uint64_t page) const {
  uint64_t table = space_->root;
  for (auto level = static_cast<uint32_t>(space_->levels); level > 0; --level) {
    const uint64_t* const word = entry(table, page, level);
    table = *word;
    _mm_clflush(word);
  }
  _mm_clflush(space_);
}

}  // namespace tiara::apps::engine
