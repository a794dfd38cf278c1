// Message delivery: the kernel stops a faulting thread and tells us; handler threads read and resolve.
//
// One handler per CPU, pinned: the kernel wakes the handler on the CPU of the faulting thread if it can, and a
// fault that is handled where it happened costs a third of one that wakes another, idle CPU. Works for every
// access, kernel code's included.
#pragma once

#include <cstddef>
#include <cstdint>

#include "fault-handler/resolver.h"
#include "fault-handler/userfaultfd.h"
#include "runtime/base/error.h"

namespace tiara::fault {

class MessageDelivery {
 public:
  // Handlers beyond this serve nobody: each holds a CPU's faults, and the store is the limit before that.
  static constexpr uint32_t kMaxHandlers = 4;

  // All are borrowed for ever. Faults below `base` or beyond the directory are not ours and are woken.
  MessageDelivery(const Userfaultfd& uffd, const std::byte* base, size_t size, Resolver& resolver) noexcept
      : uffd_(uffd), base_(reinterpret_cast<uintptr_t>(base)), size_(size), resolver_(resolver) {}
  MessageDelivery(const MessageDelivery&) = delete;

  Result<void> start();

 private:
  static void run(void* self);
  void serve() noexcept;

  const Userfaultfd& uffd_;
  const uintptr_t base_;
  const size_t size_;
  Resolver& resolver_;
};

}  // namespace tiara::fault
