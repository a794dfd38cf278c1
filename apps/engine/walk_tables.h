// Page tables to walk: random pages far apart, so that each has tables of its own below the upper levels.
#pragma once

#include <vector>

#include "nic/engine/region.h"
#include "nic/node/pool_layout.h"
#include "runtime/os/memory.h"

namespace tiara::apps::engine {

class WalkTables {
 public:
  // `pages` random pages under a table of `levels`.
  static Result<WalkTables> create(uint32_t levels, size_t pages, uint64_t seed);

  const std::vector<uint64_t>& pages() const { return pages_; }
  const std::byte* pool() const { return memory_.data(); }
  const nic::pool::SpaceDescriptor& space() const { return *space_; }
  nic::RegionTable regions() const;

  // Takes every line that the walk of `page` reads, the descriptor's included, out of the caches.
  void make_cold(uint64_t page) const;

 private:
  WalkTables() = default;
  uint64_t* entry(uint64_t table, uint64_t page, uint32_t level) const;

  os::Mapping memory_;
  nic::pool::SpaceDescriptor* space_ = nullptr;
  std::vector<uint64_t> pages_;
};

}  // namespace tiara::apps::engine
