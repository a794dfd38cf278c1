// A first-in-first-out queue of small numbers for many producers and consumers, without locks or allocation.
//
// It never overflows by construction: a number may stand in the queue at most once (its owner keeps a mark), and the
// capacity is more than twice the count of numbers. Cells that have been passed are given back to the kernel, so
// the queue occupies memory for what it holds, not for what went through it.
#pragma once

#include <atomic>
#include <bit>
#include <cstdint>
#include <optional>
#include <sys/mman.h>

#include "runtime/base/error.h"
#include "runtime/base/units.h"
#include "runtime/os/memory.h"

namespace tiara::fault {

class NumberRing {
 public:
  // For numbers below `count`.
  static Result<NumberRing> create(uint32_t count) {
    // Room for all numbers, and as much again and two pages behind the head that may be dropped.
    const uint64_t cells = std::bit_ceil(uint64_t{count} * 2 + 4 * kCellsPerPage);
    TIARA_TRY(os::Mapping memory, os::Mapping::anonymous(Bytes{cells * sizeof(Cell)}));
    (void)os::raw_madvise(memory.data(), memory.size(), MADV_NOHUGEPAGE);
    return NumberRing(std::move(memory), cells);
  }
  NumberRing(NumberRing&& other) noexcept
      : memory_(std::move(other.memory_)), cells_(other.cells_), mask_(other.mask_) {}

  void push(uint32_t number) noexcept {
    const uint64_t at = tail_.fetch_add(1, std::memory_order_relaxed);
    // Release: pairs with pop(); what the producer did before is seen by who pops.
    cells_[at & mask_].store(number + 1, std::memory_order_release);
  }

  // Nothing when empty, or when the oldest producer has not finished its push (it will in a moment).
  std::optional<uint32_t> try_pop() noexcept {
    uint64_t at = head_.load(std::memory_order_relaxed);
    for (;;) {
      Cell& cell = cells_[at & mask_];
      const uint32_t stored = cell.load(std::memory_order_acquire);  // pairs with push()
      if (stored == 0) {
        const uint64_t now = head_.load(std::memory_order_relaxed);
        if (now == at) return std::nullopt;
        at = now;  // another consumer took it: look at the next
        continue;
      }
      if (!head_.compare_exchange_weak(at, at + 1, std::memory_order_relaxed)) continue;
      // The cell is ours until a producer comes round, a whole capacity later.
      cell.store(0, std::memory_order_relaxed);
      // Two pages behind, every consumer has long cleared its cell; cleared cells are zeros either way.
      if ((at & (kCellsPerPage - 1)) == 0 && at >= 2 * kCellsPerPage)
        (void)os::raw_madvise(&cells_[(at - 2 * kCellsPerPage) & mask_], kPageSize, MADV_DONTNEED);
      return stored - 1;
    }
  }

  uint64_t size() const noexcept {
    const uint64_t tail = tail_.load(std::memory_order_relaxed);
    const uint64_t head = head_.load(std::memory_order_relaxed);
    return tail > head ? tail - head : 0;
  }
  Bytes resident_bytes() const { return {(size() * sizeof(Cell) + 3 * kPageSize) & ~(kPageSize - 1)}; }

 private:
  using Cell = std::atomic<uint32_t>;
  static constexpr uint64_t kCellsPerPage = kPageSize / sizeof(Cell);

  NumberRing(os::Mapping memory, uint64_t cells)
      : memory_(std::move(memory)), cells_(reinterpret_cast<Cell*>(memory_.data())), mask_(cells - 1) {}
  os::Mapping memory_;
  Cell* cells_;
  uint64_t mask_;
  alignas(64) std::atomic<uint64_t> head_{0};
  alignas(64) std::atomic<uint64_t> tail_{0};
};

}  // namespace tiara::fault
