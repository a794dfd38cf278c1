#include "nic/node/pool.h"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <sys/mman.h>

#include "runtime/base/check.h"
#include "runtime/base/config.h"

namespace tiara::nic {

using pool::AllocHeader;
using pool::PoolHeader;
using pool::SpaceDescriptor;

namespace {

// Operators change these words with atomics of their own.
std::atomic_ref<uint64_t> atomic(uint64_t& word) { return std::atomic_ref<uint64_t>(word); }

Result<Bytes> available_memory() {
  FILE* file = std::fopen("/proc/meminfo", "re");
  if (file == nullptr) return std::unexpected(system_error("open", "/proc/meminfo; give the pool a size"));
  char line[128];
  unsigned long long kilobytes = 0;
  while (std::fgets(line, sizeof line, file) != nullptr)
    if (std::sscanf(line, "MemAvailable: %llu kB", &kilobytes) == 1) break;
  std::fclose(file);
  if (kilobytes == 0) return fail(ErrorCode::kUnsupported, "/proc/meminfo has no MemAvailable; give the pool a size");
  return Bytes{kilobytes * kKiB};
}

Result<Bytes> pool_size(const PoolConfig& config) {
  Bytes size = config.size;
  if (size.value == 0) {
    TIARA_TRY(size, available_memory());
    size.value -= size.value / 8;  // the rest is for the program, or the system, beside the pool
  }
  size.value = round_down(size.value, kPageSize);
  constexpr Bytes kLeast{Pool::kMinFrames * kPageSize};
  if (size < kLeast)
    return fail(ErrorCode::kInvalidInput, "a pool of " + format_bytes(size) + " is too small; give it at least " +
                                              format_bytes(kLeast));
  if (size.value >> kPageShift >= pool::kMaxFrames)
    return fail(ErrorCode::kInvalidInput,
                "a pool of " + format_bytes(size) + " is too large; give it less than 16 TiB");
  return size;
}

Result<os::Mapping> map_pool(Bytes size, PoolBacking backing) {
  switch (backing) {
    case PoolBacking::kPrivate: return os::Mapping::anonymous(size);
    case PoolBacking::kShared: {
      TIARA_TRY(const UniqueFd fd, os::create_memfd("tiara-pool", size));
      return os::Mapping::shared(fd, size);
    }
  }
  return fail(ErrorCode::kInvalidInput, "unknown pool backing");
}

}  // namespace

// Frames linked through their first words, to be pushed with one compare-and-swap.
struct Pool::Chain {
  uint64_t first = 0;
  uint64_t last = 0;
  uint64_t count = 0;
};

Result<Pool> Pool::create(const PoolConfig& config) {
  if (config.levels < 1 || config.levels > pool::kMaxLevels)
    return fail(ErrorCode::kInvalidInput, "a page table of " + std::to_string(config.levels) + " levels; use 1 to 5");
  TIARA_TRY(const Bytes size, pool_size(config));
  TIARA_TRY(os::Mapping mapping, map_pool(size, config.backing));
  if (const int error = os::raw_madvise(mapping.data(), mapping.size(), MADV_DONTFORK); error != 0)
    return std::unexpected(system_error("madvise(MADV_DONTFORK)", "pool", -error));
  const uint64_t frames = size.value >> kPageShift;
  auto* header = reinterpret_cast<PoolHeader*>(mapping.data());
  *header = {pool::kPoolMagic, frames, config.levels, {}};
  auto* alloc = reinterpret_cast<AllocHeader*>(mapping.data() + pool::kAllocOffset);
  *alloc = {0, pool::kFirstDataFrame, frames, 0, {}};
  return Pool(std::move(mapping), config.levels);
}

AllocHeader& Pool::alloc() const noexcept {
  return *reinterpret_cast<AllocHeader*>(mapping_.data() + pool::kAllocOffset);
}

SpaceDescriptor& Pool::descriptor(uint32_t space_index) const noexcept {
  TIARA_CHECK(space_index < pool::kMaxSpaces);
  return *reinterpret_cast<SpaceDescriptor*>(mapping_.data() + pool::descriptor_offset(space_index));
}

Region Pool::alloc_region() const noexcept {
  return {mapping_.data() + pool::kAllocOffset, sizeof(AllocHeader), Permission::kReadWriteAtomic};
}

Region Pool::space_region(uint32_t space_index) const noexcept {
  return {reinterpret_cast<std::byte*>(&descriptor(space_index)), pool::kDescriptorBytes, Permission::kReadWriteAtomic};
}

PoolStats Pool::stats() const noexcept {
  // Relaxed: figures, they order nothing.
  const uint64_t frames = mapping_.size() >> kPageShift;
  const uint64_t used = atomic(alloc().in_use).load(std::memory_order_relaxed);
  const uint64_t next = atomic(alloc().never_used).load(std::memory_order_relaxed);
  const uint64_t total = frames - pool::kFirstDataFrame;
  return {{total}, {std::min(used, total)}, {frames - std::min(next, frames)}};
}

uint64_t* Pool::frame_words(uint64_t frame) const noexcept {
  return reinterpret_cast<uint64_t*>(mapping_.data() + (frame << kPageShift));
}

uint64_t Pool::take_frame() noexcept {
  AllocHeader& header = alloc();
  const uint64_t frames = mapping_.size() >> kPageShift;
  // Acquire: pairs with the release of push(), so that the link in the frame is seen.
  uint64_t head = atomic(header.head).load(std::memory_order_acquire);
  while ((head & pool::kHeadFrameMask) != 0) {
    const uint64_t frame = head & pool::kHeadFrameMask;
    if (frame >= frames) return 0;  // a wild head: operators are trusted, but a pool is never left
    const uint64_t next = atomic(*frame_words(frame)).load(std::memory_order_relaxed);
    const uint64_t tag = (head >> pool::kHeadTagShift) + 1;
    // The tag refuses a head that was popped meanwhile, and with it a `next` that is no longer a link.
    if (atomic(header.head).compare_exchange_weak(head, tag << pool::kHeadTagShift | (next & pool::kHeadFrameMask),
                                                  std::memory_order_acquire)) {
      atomic(header.in_use).fetch_add(1, std::memory_order_relaxed);
      return frame;
    }
  }
  const uint64_t frame = atomic(header.never_used).fetch_add(1, std::memory_order_relaxed);
  if (frame >= frames) return 0;
  atomic(header.in_use).fetch_add(1, std::memory_order_relaxed);
  return frame;
}

void Pool::push(const Chain& chain) noexcept {
  if (chain.count == 0) return;
  AllocHeader& header = alloc();
  uint64_t head = atomic(header.head).load(std::memory_order_relaxed);
  uint64_t pushed = 0;
  do {
    atomic(*frame_words(chain.last)).store(head & pool::kHeadFrameMask, std::memory_order_relaxed);
    pushed = ((head >> pool::kHeadTagShift) + 1) << pool::kHeadTagShift | chain.first;
    // Release: whoever pops the frames sees their links.
  } while (!atomic(header.head).compare_exchange_weak(head, pushed, std::memory_order_release,
                                                      std::memory_order_relaxed));
  atomic(header.in_use).fetch_sub(chain.count, std::memory_order_relaxed);
}

void Pool::give_frame(uint64_t frame) noexcept {
  TIARA_CHECK(is_data_frame(pool::entry_of(frame)));
  push({frame, frame, 1});
}

bool Pool::is_data_frame(uint64_t entry) const noexcept {
  const uint64_t frame = pool::frame_of(entry);
  return frame >= pool::kFirstDataFrame && frame < mapping_.size() >> kPageShift;
}

void Pool::release_table(uint64_t frame, uint32_t level, Released& released) noexcept {
  // Depth is at most kMaxLevels, width 512: the recursion is bounded by the layout.
  Chain chain{frame, frame, 1};
  for (uint32_t i = 0; i < pool::kEntriesPerTable; i++) {
    const uint64_t entry = frame_words(frame)[i];
    if (entry == 0) continue;
    if (!is_data_frame(entry)) {
      released.bad_entries++;
      continue;
    }
    const uint64_t child = pool::frame_of(entry);
    if (level > 1) {
      release_table(child, level - 1, released);
      continue;
    }
    *frame_words(child) = chain.first;
    chain = {child, chain.last, chain.count + 1};
  }
  // The table itself is the chain's last frame: its entries were read before its first word becomes a link.
  released.frames.value += chain.count;
  push(chain);
}

Pool::Released Pool::release_tree(SpaceDescriptor& descriptor) noexcept {
  Released released;
  const uint64_t root = descriptor.root;
  if (root != 0) {
    if (is_data_frame(pool::entry_of(root)))
      release_table(root, static_cast<uint32_t>(descriptor.levels), released);
    else
      released.bad_entries++;
  }
  descriptor = {};
  return released;
}

}  // namespace tiara::nic
