#include "nic/tls/near_memory.h"

#include <array>
#include <atomic>
#include <bit>
#include <cstring>
#include <sys/mman.h>

#include "runtime/base/check.h"
#include "runtime/os/clock.h"
#include "runtime/os/futex_lock.h"
#include "runtime/os/memory.h"

namespace tiara::nic::tls {
namespace {

// Before every block. A class is a power of two, header included; blocks of the last one and above are mappings.
struct alignas(16) Header {
  size_t size;  // header included: the class's size, or the mapping's
};
constexpr uint32_t kLeastBits = 5;
constexpr uint32_t kMostBits = 16;
constexpr size_t kChunk = 256 * 1024;  // what is asked of the system at once for small blocks
static_assert(sizeof(Header) == 16 && (size_t{1} << kMostBits) <= kChunk);

struct Free {
  Free* next;
};

class NearHeap {
 public:
  void* allocate(size_t bytes) noexcept {
    if (bytes > SIZE_MAX / 2) return nullptr;
    allocations_.fetch_add(1, std::memory_order_relaxed);  // a figure
    const size_t size = std::bit_ceil(bytes + sizeof(Header));
    if (size > size_t{1} << kMostBits) return map_block(bytes + sizeof(Header));
    const auto bits = std::max(kLeastBits, static_cast<uint32_t>(std::countr_zero(size)));
    lock();
    Header* header = take(bits);
    lock_.release();
    if (header == nullptr) return nullptr;
    header->size = size_t{1} << bits;
    return header + 1;
  }

  void release(void* block) noexcept {
    if (block == nullptr) return;
    Header* const header = static_cast<Header*>(block) - 1;
    if (header->size > size_t{1} << kMostBits) {
      os::raw_munmap(header, header->size);
      return;
    }
    const auto bits = static_cast<uint32_t>(std::countr_zero(header->size));
    auto* const free = reinterpret_cast<Free*>(header);
    lock();
    free->next = free_[bits];
    free_[bits] = free;
    lock_.release();
  }

  static size_t room_of(void* block) noexcept { return (static_cast<Header*>(block) - 1)->size - sizeof(Header); }
  uint64_t allocations() const noexcept { return allocations_.load(std::memory_order_relaxed); }

 private:
  static Header* map_block(size_t size) noexcept {
    const size_t whole = (size + kPageSize - 1) / kPageSize * kPageSize;
    void* const memory =
        os::raw_mmap(nullptr, whole, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) return nullptr;
    auto* const header = static_cast<Header*>(memory);
    header->size = whole;
    return header + 1;
  }

  // Whoever holds it does nothing but move a pointer.
  void lock() noexcept { TIARA_CHECK(lock_.acquire_until(os::monotonic_now() + std::chrono::hours(1))); }

  Header* take(uint32_t bits) noexcept {
    if (Free* const first = free_[bits]; first != nullptr) {
      free_[bits] = first->next;
      return reinterpret_cast<Header*>(first);
    }
    const size_t size = size_t{1} << bits;
    if (left_ < size) {
      void* const chunk =
          os::raw_mmap(nullptr, kChunk, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
      if (chunk == MAP_FAILED) return nullptr;
      next_ = static_cast<std::byte*>(chunk);
      left_ = kChunk;
    }
    auto* const header = reinterpret_cast<Header*>(next_);
    next_ += size;
    left_ -= size;
    return header;
  }

  os::FutexLock lock_;
  std::array<Free*, kMostBits + 1> free_{};
  std::byte* next_ = nullptr;
  size_t left_ = 0;
  std::atomic<uint64_t> allocations_{0};
};

constinit NearHeap heap;

}  // namespace

void* allocate_near(size_t bytes) noexcept { return heap.allocate(bytes); }
void release_near(void* block) noexcept { heap.release(block); }
uint64_t near_allocations() noexcept { return heap.allocations(); }

void* reallocate_near(void* block, size_t bytes) noexcept {
  if (block == nullptr) return heap.allocate(bytes);
  if (bytes == 0) {
    heap.release(block);
    return nullptr;
  }
  const size_t room = NearHeap::room_of(block);
  if (bytes <= room) return block;
  void* const larger = heap.allocate(bytes);
  if (larger == nullptr) return nullptr;
  std::memcpy(larger, block, room);
  heap.release(block);
  return larger;
}

}  // namespace tiara::nic::tls
