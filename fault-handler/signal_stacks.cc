#include "fault-handler/signal_stacks.h"

#include <algorithm>
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
  const auto self = static_cast<int32_t>(syscall(SYS_gettid));
  uint32_t index = kMaxThreads;
  const uint32_t used = std::min(used_.load(std::memory_order_relaxed), kMaxThreads);
  for (uint32_t i = 0; i < used && index == kMaxThreads; ++i) {
    int32_t owner = owners_[i].load(std::memory_order_relaxed);
    if (owner != 0 && owner != self && is_alive(owner)) continue;
    if (owners_[i].compare_exchange_strong(owner, self, std::memory_order_acq_rel)) index = i;
  }
  if (index == kMaxThreads) {
    index = used_.fetch_add(1, std::memory_order_relaxed);
    if (index >= kMaxThreads) return;
    owners_[index].store(self, std::memory_order_release);
    (void)os::raw_mprotect(stacks_.data() + index * kStride, kPageSize, PROT_NONE);
  }
  stack_t own{};
  own.ss_sp = stacks_.data() + index * kStride + kPageSize;
  own.ss_size = kStackBytes;
  syscall(SYS_sigaltstack, &own, nullptr);
}

}  // namespace tiara::fault
