// Alternate signal stacks for threads of the program, in near memory: a fault may come while the thread stands on
// a stack that is far itself (coroutines), where a handler cannot run.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "runtime/base/error.h"
#include "runtime/os/memory.h"

namespace tiara::fault {

class SignalStacks {
 public:
  // The resolver, a store and the program's own SIGBUS handler run on one; libc's minimum with AVX-512 is 11 KiB.
  static constexpr size_t kStackBytes = 64 << 10;
  // Threads that live at once; those beyond run without an alternate stack, as without Tiara.
  static constexpr uint32_t kMaxThreads = 16384;

  static Result<SignalStacks> create();
  SignalStacks(SignalStacks&& other) noexcept
      : owners_memory_(std::move(other.owners_memory_)), stacks_(std::move(other.stacks_)), owners_(other.owners_) {}

  // Gives the calling thread a stack unless it has one. Stacks of dead threads are taken over.
  void enter_thread() noexcept;
  // In the one thread of a forked child: it keeps its stack, under its new number; the others are free.
  void after_fork_in_child() noexcept;

 private:
  SignalStacks(os::Mapping owners, os::Mapping stacks)
      : owners_memory_(std::move(owners)), stacks_(std::move(stacks)),
        owners_(reinterpret_cast<std::atomic<int32_t>*>(owners_memory_.data())) {}
  uint32_t claim(int32_t self) noexcept;  // kMaxThreads when all are taken
  std::byte* stack(uint32_t index) const noexcept;

  os::Mapping owners_memory_;
  os::Mapping stacks_;
  std::atomic<int32_t>* owners_;      // thread ids; 0 = free
  std::atomic<uint32_t> used_{0};     // stacks below this have had an owner
};

}  // namespace tiara::fault
