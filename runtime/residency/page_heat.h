// Which pages are used so often that they should outlast a round of eviction, although the kernel tells nothing about
// accesses: a page that was fetched again soon after it left, and not once only, is hot. It stays when the turn of
// its cluster comes, and cools down by one. What is used all the time misses once in eight rounds in place of every
// round, and coming back late once takes away a part of the heat, not all of it. A scan heats nothing, for it touches
// each page once; nor do uniform accesses, which seldom meet the same page soon twice.
//
// Two bytes a page, only where pages have left. A hint, not a state: written without owning the page's word; a
// lost update costs a miss, or keeps a page a round too long.
#pragma once

#include <atomic>
#include <cstdint>

#include "runtime/base/error.h"
#include "runtime/base/units.h"
#include "runtime/os/memory.h"

namespace tiara::residency {

class PageHeat {
 public:
  static Result<PageHeat> create(PageCount pages);
  PageHeat(PageHeat&& other) noexcept : memory_(std::move(other.memory_)), notes_(other.notes_) {}

  // The page was evicted; `resident` pages are here now (it sets what "soon" means).
  void left(PageNumber page, uint64_t resident) noexcept;
  // The page was fetched or taken back.
  void returned(PageNumber page) noexcept;
  // Its turn to leave has come: true when it is hot enough to stay once more.
  bool stays(PageNumber page) noexcept;
  // Would it stay? Asking changes nothing.
  bool is_hot(PageNumber page) const noexcept {
    return (notes_[page.value].load(std::memory_order_relaxed) & kMost) != 0;
  }
  // It was discarded: what comes there next is another page.
  void forget(PageNumber page) noexcept;
  // Memory that this occupies now (a system call a gigabyte of far memory).
  Bytes resident_bytes() const;

 private:
  // Soon: before about half as many pages left as are here. In ticks of the clock below.
  static constexpr uint64_t kTicksPerRound = 8;
  static constexpr uint32_t kSoon = 4;
  // [2:0] rounds that it may stay, [5:3] how often it came back soon rather than late, [15:6] when it left; 0: never.
  static constexpr uint32_t kMost = 7;
  static constexpr uint32_t kTimes = 1023;
  static constexpr uint32_t kRoundsEach = 2;  // for each time that it came back soon
  static constexpr uint16_t pack(uint32_t then, uint32_t often, uint32_t heat) {
    return static_cast<uint16_t>(then << 6 | often << 3 | heat);
  }
  static constexpr uint32_t left_at(uint16_t note) { return note >> 6; }
  static constexpr uint32_t often(uint16_t note) { return note >> 3 & kMost; }

  explicit PageHeat(os::Mapping memory)
      : memory_(std::move(memory)), notes_(reinterpret_cast<std::atomic<uint16_t>*>(memory_.data())) {}
  uint32_t now() const noexcept { return ticks_.load(std::memory_order_relaxed) % kTimes + 1; }

  os::Mapping memory_;
  std::atomic<uint16_t>* notes_;
  std::atomic<uint32_t> ticks_{0};
  std::atomic<uint64_t> left_since_tick_{0};
};

}  // namespace tiara::residency
