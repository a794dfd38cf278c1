// Near buffers that receive pages from the node, one for each fetch in flight: 64 pages each, lent without locks.
// The faulting thread cannot use its own stack (it may be a small alternate one) nor allocate.
#pragma once

#include <atomic>
#include <cstddef>
#include <span>

#include "runtime/base/error.h"
#include "runtime/base/units.h"
#include "runtime/os/memory.h"

namespace tiara::fault {

class ReplyBuffers {
 public:
  // One for each bit of the mask. A thread that finds none waits for another's fetch to end; more fetches than
  // this at once would only queue at the node. Pages that were never used cost nothing.
  static constexpr uint32_t kBuffers = 64;
  static constexpr uint32_t kPagesEach = 64;

  static Result<ReplyBuffers> create();
  ReplyBuffers(ReplyBuffers&& other) noexcept : memory_(std::move(other.memory_)) {}

  class Loan {
   public:
    explicit Loan(ReplyBuffers& owner) noexcept : owner_(owner), index_(owner.take()) {}
    ~Loan() { owner_.give_back(index_); }
    Loan(const Loan&) = delete;
    Loan& operator=(const Loan&) = delete;
    std::span<std::byte> bytes() const {
      constexpr size_t kSize = size_t{kPagesEach} << kPageShift;
      return owner_.memory_.span().subspan(index_ * kSize, kSize);
    }

   private:
    ReplyBuffers& owner_;
    uint32_t index_;
  };

 private:
  explicit ReplyBuffers(os::Mapping memory) : memory_(std::move(memory)) {}
  uint32_t take() noexcept;
  void give_back(uint32_t index) noexcept;
  os::Mapping memory_;
  std::atomic<uint64_t> free_{~uint64_t{0}};
};

}  // namespace tiara::fault
