// A memory node's pool of frames (layout: pool_layout.h), seen from the node's own code: making it, counting it, and
// taking back what a dead address space leaves behind. Everything else that happens in a pool, operators do.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "nic/engine/region.h"
#include "nic/node/pool_layout.h"
#include "runtime/base/error.h"
#include "runtime/base/units.h"
#include "runtime/os/memory.h"

namespace tiara::nic {

enum class PoolBacking : uint8_t {
  kShared,   // a memfd: for the pool inside a program, whose own anonymous memory is what a budget counts
  kPrivate,  // anonymous memory: for a node process; transparent huge pages where the system has them on
};

struct PoolConfig {
  Bytes size;  // 0: seven eighths of the memory that is available now
  uint32_t levels = pool::kDefaultLevels;
  PoolBacking backing = PoolBacking::kShared;
};

struct PoolStats {
  PageCount total;       // frames for tables and pages
  PageCount in_use;      // as the operators count
  PageCount never_used;  // untouched: they cost the machine nothing yet
  PageCount free() const { return total - in_use; }
};

class Pool {
 public:
  // The smallest that holds anything: the node's own frames, a full walk's tables, and a page.
  static constexpr uint64_t kMinFrames = pool::kFirstDataFrame + pool::kMaxLevels + 1;

  // Touches two pages whatever the size. A forked child does not inherit the mapping: its copy of the pager must
  // not write into the parent's pages.
  static Result<Pool> create(const PoolConfig& config);

  std::span<std::byte> bytes() const noexcept { return mapping_.span(); }
  uint32_t levels() const noexcept { return levels_; }
  uint64_t max_pages() const noexcept { return pool::max_pages_for(levels_); }
  PoolStats stats() const noexcept;

  Region pool_region() const noexcept { return {mapping_.data(), mapping_.size(), Permission::kReadWriteAtomic}; }
  Region alloc_region() const noexcept;
  Region space_region(uint32_t space_index) const noexcept;
  pool::SpaceDescriptor& descriptor(uint32_t space_index) const noexcept;

  // The frame's number, or 0 when the pool is full. Thread-safe, also against operators.
  uint64_t take_frame() noexcept;
  void give_frame(uint64_t frame) noexcept;

  struct Released {
    PageCount frames;
    uint64_t bad_entries = 0;  // entries that point where no frame can be: a bug of an operator, skipped
  };
  // Gives back every frame of the tree under `descriptor`, which nobody else may be using, and empties it. Frames
  // go back table by table, so that a big space does not starve others until the end.
  Released release_tree(pool::SpaceDescriptor& descriptor) noexcept;

 private:
  struct Chain;
  Pool(os::Mapping mapping, uint32_t levels) noexcept : mapping_(std::move(mapping)), levels_(levels) {}
  pool::AllocHeader& alloc() const noexcept;
  uint64_t* frame_words(uint64_t frame) const noexcept;
  bool is_data_frame(uint64_t entry) const noexcept;
  void push(const Chain& chain) noexcept;
  void release_table(uint64_t frame, uint32_t level, Released& released) noexcept;

  os::Mapping mapping_;
  uint32_t levels_;
};

}  // namespace tiara::nic
