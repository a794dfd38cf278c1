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
#include "runtime/os/unique_fd.h"

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

  // `config.size` is what tables and pages may take; the references lie behind it, a 256th more of addresses, which
  // take memory only where frames are shared. Touches two pages whatever the size. A forked child does not inherit the
  // mapping unless it is made inheritable: its copy of the pager must not write into the parent's pages.
  static Result<Pool> create(const PoolConfig& config);

  // The pool of the process that this one was forked from, where that made it inheritable: the same memory. The
  // memory stays mapped for ever, here as there.
  Pool inherit() const noexcept;
  // Whether children made from now on find the pool where it is. For PoolBacking::kShared.
  Result<void> set_inheritable(bool is_inheritable) const noexcept;
  // The memory's descriptor, close-on-exec and shared with forked children; -1 for PoolBacking::kPrivate.
  int descriptor_of_memory() const noexcept { return memory_fd_.get(); }

  // All of it, the references included.
  std::span<std::byte> bytes() const noexcept { return mapping_.span(); }
  uint32_t levels() const noexcept { return levels_; }
  uint64_t max_pages() const noexcept { return pool::max_pages_for(levels_); }
  PoolStats stats() const noexcept;

  Region pool_region() const noexcept {
    return {mapping_.data(), frame_count_ << kPageShift, Permission::kReadWriteAtomic};
  }
  Region references_region() const noexcept;
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
  // Gives up the tree under `descriptor`, which nobody else may be using, and empties it: what no other space shares
  // goes back, table by table, so that a big space does not starve others until the end.
  Released release_tree(pool::SpaceDescriptor& descriptor) noexcept;

  // Whether operators left frames that have no owner any more (AllocHeader::dead). A plain load.
  bool has_dead() const noexcept;
  // Takes those apart and gives them back. Thread-safe, also against operators; async-signal-safe.
  Released reap() noexcept;

 private:
  struct Chain;
  Pool(os::Mapping mapping, UniqueFd memory_fd, uint64_t frame_count, uint32_t levels) noexcept
      : mapping_(std::move(mapping)), memory_fd_(std::move(memory_fd)), frame_count_(frame_count), levels_(levels) {}
  pool::AllocHeader& alloc() const noexcept;
  uint64_t* frame_words(uint64_t frame) const noexcept;
  bool is_data_frame(uint64_t entry) const noexcept;
  void push(const Chain& chain) noexcept;
  pool::FrameReferences& references(uint64_t frame) const noexcept;
  // What names a page or table, seen from above: marked when the entry is, or anything above it was.
  enum class Sharing : uint8_t { kNone, kMarked };
  // True when the reference that is given up was the frame's last.
  bool give_up(uint64_t frame, Sharing sharing) noexcept;
  void release_table(uint64_t frame, uint32_t level, Sharing sharing, Released& released) noexcept;

  os::Mapping mapping_;
  UniqueFd memory_fd_;
  uint64_t frame_count_;
  uint32_t levels_;
};

}  // namespace tiara::nic
