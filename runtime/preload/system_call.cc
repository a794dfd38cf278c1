#include "runtime/preload/system_call.h"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstddef>
#include <csignal>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <type_traits>
#include <unistd.h>

#include "runtime/base/log.h"
#include "runtime/preload/descriptors.h"
#include "runtime/preload/guard.h"
#include "runtime/preload/mappings.h"
#include "runtime/preload/process.h"
#include "runtime/preload/real.h"
#include "runtime/preload/signals.h"
#include "runtime/residency/far_memory.h"

#ifndef SYS_futex_waitv
#define SYS_futex_waitv 449
#endif

namespace tiara::preload {

TIARA_DEFINE_REAL(syscall);

namespace {

// A word of a call, as the type that the named function takes.
struct Word {
  long value;
  template <typename T>
  operator T*() const noexcept {
    return reinterpret_cast<T*>(value);
  }
  operator int() const noexcept { return static_cast<int>(value); }
  operator unsigned() const noexcept { return static_cast<unsigned>(value); }
  operator long() const noexcept { return value; }
  operator unsigned long() const noexcept { return static_cast<unsigned long>(value); }
};

enum class Routed : bool { kNo, kYes };

// libc's convention to the kernel's.
template <typename T>
Routed answer(T value, long& result) noexcept {
  if constexpr (std::is_pointer_v<T>)
    result = value == MAP_FAILED ? -errno : reinterpret_cast<long>(value);
  else
    result = value == -1 ? -errno : static_cast<long>(value);
  return Routed::kYes;
}

// Calls that the runtime has a part in, whatever their pointers.
Routed route_to_runtime(long number, const Word (&w)[6], long& result) noexcept {
  switch (number) {
    case SYS_mmap:
      return answer(map(w[0], static_cast<size_t>(w[1]), w[2], w[3], w[4], w[5].value, nullptr), result);
    case SYS_mremap:
      return answer(remap(w[0], static_cast<size_t>(w[1]), static_cast<size_t>(w[2]), w[3], w[4]), result);
    case SYS_munmap: return answer(munmap(w[0], w[1]), result);
    case SYS_madvise: return answer(madvise(w[0], w[1], w[2]), result);
    case SYS_mprotect: return answer(mprotect(w[0], w[1], w[2]), result);
    case SYS_mlock: return answer(mlock(w[0], w[1]), result);
    case SYS_munlock: return answer(munlock(w[0], w[1]), result);
    case SYS_mlockall: return answer(mlockall(w[0]), result);
    case SYS_close: return answer(close(w[0]), result);
    case SYS_close_range: return answer(close_range(w[0], w[1], w[2]), result);
    case SYS_dup2: return answer(dup2(w[0], w[1]), result);
    case SYS_prctl: return answer(prctl(w[0], w[1].value, w[2].value, w[3].value, w[4].value), result);
    case SYS_dup3: return answer(dup3(w[0], w[1], w[2]), result);
    default: return Routed::kNo;  // numbers are an open set
  }
}

// Calls whose pointers lead to more pointers, or that move more than may be pinned at once.
Routed route_to_guarded(long number, const Word (&w)[6], long& result) noexcept {
  switch (number) {
    case SYS_read: return answer(read(w[0], w[1], w[2]), result);
    case SYS_write: return answer(write(w[0], w[1], w[2]), result);
    case SYS_pread64: return answer(pread64(w[0], w[1], w[2], w[3]), result);
    case SYS_pwrite64: return answer(pwrite64(w[0], w[1], w[2], w[3]), result);
    case SYS_readv: return answer(readv(w[0], w[1], w[2]), result);
    case SYS_writev: return answer(writev(w[0], w[1], w[2]), result);
    case SYS_preadv: return answer(preadv64(w[0], w[1], w[2], w[3]), result);
    case SYS_pwritev: return answer(pwritev64(w[0], w[1], w[2], w[3]), result);
    case SYS_preadv2: return answer(preadv64v2(w[0], w[1], w[2], w[3], w[5]), result);
    case SYS_pwritev2: return answer(pwritev64v2(w[0], w[1], w[2], w[3], w[5]), result);
    case SYS_recvfrom: return answer(recvfrom(w[0], w[1], w[2], w[3], w[4], w[5]), result);
    case SYS_sendto: return answer(sendto(w[0], w[1], w[2], w[3], w[4], w[5]), result);
    case SYS_recvmsg: return answer(recvmsg(w[0], w[1], w[2]), result);
    case SYS_sendmsg: return answer(sendmsg(w[0], w[1], w[2]), result);
    case SYS_recvmmsg: return answer(recvmmsg(w[0], w[1], w[2], w[3], w[4]), result);
    case SYS_sendmmsg: return answer(sendmmsg(w[0], w[1], w[2], w[3]), result);
    case SYS_vmsplice: return answer(vmsplice(w[0], w[1], w[2], w[3]), result);
    case SYS_process_vm_readv: return answer(process_vm_readv(w[0], w[1], w[2], w[3], w[4], w[5]), result);
    case SYS_process_vm_writev: return answer(process_vm_writev(w[0], w[1], w[2], w[3], w[4], w[5]), result);
    case SYS_poll: return answer(poll(w[0], w[1], w[2]), result);
    case SYS_epoll_wait: return answer(epoll_wait(w[0], w[1], w[2], w[3]), result);
    case SYS_select: return answer(select(w[0], w[1], w[2], w[3], w[4]), result);
    case SYS_ioctl: return answer(ioctl(w[0], static_cast<unsigned long>(w[1]), static_cast<void*>(w[2])), result);
    case SYS_execve: return answer(execve(w[0], w[1], w[2]), result);
    case SYS_execveat: return answer(execveat(w[0], w[1], w[2], w[3], w[4]), result);
    default: return Routed::kNo;  // the flat pins below are enough for the rest
  }
}

// The kernel would meet far buffers later, by itself: no pin could be held for them. Programs do without these calls on
// kernels that lack them.
bool is_asynchronous_io(long number) noexcept { return number == SYS_io_uring_setup || number == SYS_io_setup; }

void say_refused_once(const char* name) noexcept {
  static std::atomic<bool> is_said{false};
  if (is_said.exchange(true, std::memory_order_relaxed)) return;
  LogLine(name)
      .text(" is refused (ENOSYS): the kernel would meet pages that are away; --fault message if the program needs it")
      .write();
}

// Memory policies split the reservation's mapping, and far pages live where the pager puts them.
bool is_policy_on_far_memory(long number, const Word& address) noexcept {
  const FarMemory* far = FarMemory::instance();
  return number == SYS_mbind && far != nullptr && far->contains(address);
}

// After these, what the runtime needs may be out of reach.
bool gives_up_privileges(long number) noexcept {
  switch (number) {
    case SYS_seccomp:
    case SYS_setuid:
    case SYS_setgid:
    case SYS_setresuid:
    case SYS_setresgid:
    case SYS_setreuid:
    case SYS_setregid:
    case SYS_chroot: return true;
    default: return false;
  }
}

// The word that points to a signal mask under which the kernel lets the thread run; -1 when there is none.
int mask_word(long number, const Words& words) noexcept {
  switch (number) {
    case SYS_rt_sigsuspend: return 0;
    case SYS_rt_sigprocmask: return words[0] != SIG_UNBLOCK ? 1 : -1;
    case SYS_ppoll: return 3;
    case SYS_epoll_pwait:
    case SYS_epoll_pwait2: return 4;
    default: return -1;
  }
}

// pselect6's last argument.
struct SelectMask {
  const uint64_t* mask;
  size_t size;
};

// Copies of masks without the reserved signals, which the words then point to.
class Masks {
 public:
  Masks(long number, Words& words) noexcept {
    if (const int index = mask_word(number, words); index >= 0 && words[index] != 0) {
      permitted_ = *reinterpret_cast<const uint64_t*>(words[index]) & ~reserved_signal_bits();
      words[index] = reinterpret_cast<long>(&permitted_);
    }
    if (number != SYS_pselect6 || words[5] == 0) return;
    select_ = *reinterpret_cast<const SelectMask*>(words[5]);
    if (select_.mask != nullptr) {
      permitted_ = *select_.mask & ~reserved_signal_bits();
      select_.mask = &permitted_;
    }
    words[5] = reinterpret_cast<long>(&select_);
  }

 private:
  uint64_t permitted_ = 0;
  SelectMask select_{};
};

// How many bytes an argument of an unknown call may name: a length follows its buffer in nearly every call. Some count
// elements, and some structures have a header before what is counted: hence never less than a page, and room beyond.
size_t likely_length(const Words& words, size_t index) noexcept {
  constexpr size_t kStructure = 4096, kHeader = 64;
  const auto next = index + 1 < 6 ? static_cast<size_t>(words[index + 1]) : 0;
  return next <= kPinnedAtOnce ? std::max(next + kHeader, kStructure) : kStructure;
}

// One element of futex_waitv(2) (linux/futex.h).
struct FutexWait {
  uint64_t value;
  uint64_t address;
  uint32_t flags;
  uint32_t reserved;
};

// Every argument that lies in far memory is taken for a pointer; an integer that happens to look like one costs a pin
// and no more.
void pin_arguments(Guards& guards, long number, const Words& words) noexcept {
  for (size_t i = 0; i < 6; ++i) {
    const void* address = reinterpret_cast<const void*>(words[i]);
    if (is_guarded(address))
      guards.bytes(address, number == SYS_futex ? sizeof(uint32_t) : likely_length(words, i));
  }
  if (number != SYS_futex_waitv) return;
  const auto* waits = reinterpret_cast<const FutexWait*>(words[0]);
  for (long i = 0; waits != nullptr && i < words[1]; ++i)
    guards.object(reinterpret_cast<const uint32_t*>(waits[i].address));
}

// The named functions are cancellation points, a system call is not.
class NotCancelled {
 public:
  NotCancelled() noexcept { pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before_); }
  ~NotCancelled() { pthread_setcancelstate(before_, nullptr); }
  NotCancelled(const NotCancelled&) = delete;
  NotCancelled& operator=(const NotCancelled&) = delete;

 private:
  int before_ = 0;
};

}  // namespace

long make_system_call(long number, const Words& asked) noexcept {
  long result = 0;
  {
    const NotCancelled not_cancelled;
    const Word typed[6] = {{asked[0]}, {asked[1]}, {asked[2]}, {asked[3]}, {asked[4]}, {asked[5]}};
    if (route_to_runtime(number, typed, result) == Routed::kYes) return result;
    if (is_guarding() && route_to_guarded(number, typed, result) == Routed::kYes) return result;
    if (is_policy_on_far_memory(number, typed[0])) return 0;
  }
  if (is_guarding() && is_asynchronous_io(number)) {
    say_refused_once(number == SYS_io_setup ? "io_setup" : "io_uring_setup");
    return -ENOSYS;
  }
  if (is_asynchronous_io(number)) FarMemory::expect_device_access();
  if (gives_up_privileges(number)) acquire_before_privileges_go();
  Words words;
  std::copy_n(asked, 6, words);
  const Masks masks(number, words);
  Guards guards;
  if (is_guarding()) pin_arguments(guards, number, words);
  (void)answer(TIARA_REAL(syscall)(number, words[0], words[1], words[2], words[3], words[4], words[5]), result);
  return result;
}

}  // namespace tiara::preload
