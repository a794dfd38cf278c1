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

Result<os::Mapping> map_pool(Bytes size, PoolBacking backing, UniqueFd& memory_fd) {
  switch (backing) {
    case PoolBacking::kPrivate: return os::Mapping::anonymous(size);
    case PoolBacking::kShared: {
      TIARA_TRY(memory_fd, os::create_memfd("tiara-pool", size));
      return os::Mapping::shared(memory_fd, size);
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
  const uint64_t frames = size.value >> kPageShift;
  UniqueFd memory_fd;
  TIARA_TRY(os::Mapping mapping,
            map_pool(Bytes{round_up(pool::pool_bytes_for(frames), kPageSize)}, config.backing, memory_fd));
  if (const int error = os::raw_madvise(mapping.data(), mapping.size(), MADV_DONTFORK); error != 0)
    return std::unexpected(system_error("madvise(MADV_DONTFORK)", "pool", -error));
  auto* header = reinterpret_cast<PoolHeader*>(mapping.data());
  *header = {pool::kPoolMagic, frames, config.levels, {}};
  auto* alloc = reinterpret_cast<AllocHeader*>(mapping.data() + pool::kAllocOffset);
  *alloc = {.head = 0,
            .never_used = pool::kFirstDataFrame,
            .frame_count = frames,
            .in_use = 0,
            .dead = 0,
            .reserved = {}};
  return Pool(std::move(mapping), std::move(memory_fd), frames, config.levels);
}

Pool Pool::inherit() const noexcept {
  return Pool(os::Mapping(mapping_.data(), mapping_.size()), UniqueFd(memory_fd_.get()), frame_count_, levels_);
}

Result<void> Pool::set_inheritable(bool is_inheritable) const noexcept {
  if (!memory_fd_.is_open()) return fail(ErrorCode::kUnsupported, "a private pool cannot be shared with a child");
  if (const int error = os::raw_madvise(mapping_.data(), mapping_.size(), is_inheritable ? MADV_DOFORK : MADV_DONTFORK);
      error != 0)
    return std::unexpected(system_error("madvise(MADV_DOFORK)", "pool", -error));
  return {};
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

Region Pool::references_region() const noexcept {
  return {mapping_.data() + pool::references_offset(frame_count_), frame_count_ * sizeof(pool::FrameReferences),
          Permission::kReadWriteAtomic};
}

pool::FrameReferences& Pool::references(uint64_t frame) const noexcept {
  return reinterpret_cast<pool::FrameReferences*>(mapping_.data() + pool::references_offset(frame_count_))[frame];
}

Region Pool::space_region(uint32_t space_index) const noexcept {
  return {reinterpret_cast<std::byte*>(&descriptor(space_index)), pool::kDescriptorBytes, Permission::kReadWriteAtomic};
}

PoolStats Pool::stats() const noexcept {
  // Relaxed: figures, they order nothing.
  const uint64_t frames = frame_count_;
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
  const uint64_t frames = frame_count_;
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
  return frame >= pool::kFirstDataFrame && frame < frame_count_;
}

bool Pool::give_up(uint64_t frame, Sharing sharing) noexcept {
  if (sharing == Sharing::kNone) return true;
  std::atomic_ref<uint64_t> extra = atomic(references(frame).extra);
  // Acquire and release: whoever was first to let go of the frame is done with it when the last one frees it.
  if (extra.fetch_sub(1, std::memory_order_acq_rel) != 0) return false;
  extra.store(0, std::memory_order_relaxed);  // nobody else knows the frame any more
  return true;
}

void Pool::release_table(uint64_t frame, uint32_t level, Sharing sharing, Released& released) noexcept {
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
    const Sharing below = (entry & pool::kCopyOnWrite) != 0 ? Sharing::kMarked : sharing;
    if (!give_up(child, below)) continue;
    if (level > 1) {
      release_table(child, level - 1, below, released);
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
    const Sharing sharing = (root & pool::kCopyOnWrite) != 0 ? Sharing::kMarked : Sharing::kNone;
    if (!is_data_frame(root))
      released.bad_entries++;
    else if (give_up(pool::frame_of(root), sharing))
      release_table(pool::frame_of(root), static_cast<uint32_t>(descriptor.levels), sharing, released);
  }
  descriptor.root = descriptor.levels = descriptor.max_pages = 0;
  descriptor.pages = descriptor.tables = descriptor.generation = descriptor.self = 0;
  // Release: pairs with whoever takes the descriptor next.
  atomic(descriptor.state).store(static_cast<uint64_t>(pool::SpaceState::kFree), std::memory_order_release);
  return released;
}

bool Pool::has_dead() const noexcept {
  return (atomic(alloc().dead).load(std::memory_order_relaxed) & pool::kHeadFrameMask) != 0;
}

Pool::Released Pool::reap() noexcept {
  Released released;
  std::atomic_ref<uint64_t> list = atomic(alloc().dead);
  uint64_t head = list.load(std::memory_order_relaxed);
  // The whole list at once. Acquire: pairs with the compare-and-swap of the operator that buried a frame.
  while ((head & pool::kHeadFrameMask) != 0 &&
         !list.compare_exchange_weak(head, ((head >> pool::kHeadTagShift) + 1) << pool::kHeadTagShift,
                                     std::memory_order_acquire, std::memory_order_relaxed)) {
  }
  uint64_t frame = head & pool::kHeadFrameMask;
  while (frame != 0) {
    if (!is_data_frame(pool::entry_of(frame))) {
      released.bad_entries++;
      break;
    }
    const uint64_t link = references(frame).link;
    const uint64_t level = link >> pool::kDeadLevelShift;
    if (level == 0) {
      give_frame(frame);
      released.frames.value++;
    } else {
      release_table(frame, static_cast<uint32_t>(std::min<uint64_t>(level, pool::kMaxLevels)), Sharing::kMarked,
                    released);
    }
    frame = link & pool::kHeadFrameMask;
  }
  return released;
}

}  // namespace tiara::nic
