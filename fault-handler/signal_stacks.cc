#include "fault-handler/signal_stacks.h"

#include <cerrno>
#include <csignal>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace tiara::fault {
namespace {

constexpr size_t kStride = SignalStacks::kStackBytes + kPageSize;  // a guard page below each

bool is_alive(int32_t thread) {
  const int saved = errno;
  const bool alive = syscall(SYS_tgkill, getpid(), thread, 0) == 0 || errno != ESRCH;
  errno = saved;
  return alive;
}

}  // namespace

Result<SignalStacks> SignalStacks::create() {
  TIARA_TRY(os::Mapping owners, os::Mapping::anonymous(Bytes{kMaxThreads * sizeof(std::atomic<int32_t>)}));
  TIARA_TRY(os::Mapping stacks, os::Mapping::anonymous(Bytes{kMaxThreads * kStride}));
  // A huge page would hold thirty stacks of which one is used.
  (void)os::raw_madvise(stacks.data(), stacks.size(), MADV_NOHUGEPAGE);
  return SignalStacks(std::move(owners), std::move(stacks));
}

void SignalStacks::enter_thread() noexcept {
  stack_t current{};
  // The raw call throughout: sigaltstack is interposed by the preload layer.
  if (syscall(SYS_sigaltstack, nullptr, &current) != 0 || (current.ss_flags & SS_DISABLE) == 0) return;
  const uint32_t index = claim(static_cast<int32_t>(syscall(SYS_gettid)));
  if (index == kMaxThreads) return;
  stack_t own{};
  own.ss_sp = stack(index);
  own.ss_size = kStackBytes;
  syscall(SYS_sigaltstack, &own, nullptr);
}

// A stack belongs to whoever exchanges its owner, also one that nobody had before: an index handed out first and owned
// later would look free to a thread that starts in between.
uint32_t SignalStacks::claim(int32_t self) noexcept {
  const uint32_t used = used_.load(std::memory_order_relaxed);
  for (uint32_t i = 0; i < kMaxThreads; ++i) {
    int32_t owner = owners_[i].load(std::memory_order_relaxed);
    if (owner != 0 && owner != self && (i >= used || is_alive(owner))) continue;
    // Acquire: what the dead owner left on the stack came before. Release: pairs with it.
    if (!owners_[i].compare_exchange_strong(owner, self, std::memory_order_acq_rel)) continue;
    if (owner == 0) (void)os::raw_mprotect(stack(i) - kPageSize, kPageSize, PROT_NONE);
    uint32_t mark = used_.load(std::memory_order_relaxed);
    while (mark <= i && !used_.compare_exchange_weak(mark, i + 1, std::memory_order_relaxed)) {
    }
    return i;
  }
  return kMaxThreads;
}

void SignalStacks::after_fork_in_child() noexcept {
  stack_t current{};
  if (syscall(SYS_sigaltstack, nullptr, &current) != 0) return;
  const auto self = static_cast<int32_t>(syscall(SYS_gettid));
  const uint32_t used = used_.load(std::memory_order_relaxed);
  for (uint32_t i = 0; i < used; ++i) {
    const bool is_mine = (current.ss_flags & SS_DISABLE) == 0 && current.ss_sp == stack(i);
    // The others' owners stayed with the parent; one of them may be the number of a thread of ours to come.
    owners_[i].store(is_mine ? self : 0, std::memory_order_relaxed);
  }
}

std::byte* SignalStacks::stack(uint32_t index) const noexcept { return stacks_.data() + index * kStride + kPageSize; }

}  // namespace tiara::fault
