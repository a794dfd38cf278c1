// System calls with a variable argument list, and syscall(2) itself.
#include <algorithm>
#include <cerrno>
#include <cstdarg>
#include <cstring>
#include <fcntl.h>
#include <linux/if.h>
#include <mqueue.h>
#include <semaphore.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/sem.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "runtime/base/units.h"
#include "runtime/preload/descriptors.h"
#include "runtime/preload/guard.h"
#include "runtime/preload/mappings.h"
#include "runtime/preload/process.h"
#include "runtime/preload/real.h"
#include "runtime/preload/signals.h"
#include "runtime/residency/far_memory.h"

namespace tiara::preload {

TIARA_DEFINE_REAL(open);
TIARA_DEFINE_REAL(open64);
TIARA_DEFINE_REAL(openat);
TIARA_DEFINE_REAL(openat64);
TIARA_DEFINE_REAL(fcntl);
TIARA_DEFINE_REAL(fcntl64);
TIARA_DEFINE_REAL(ioctl);
TIARA_DEFINE_REAL(semctl);
TIARA_DEFINE_REAL(mq_open);
TIARA_DEFINE_REAL(sem_open);
TIARA_DEFINE_REAL(ptrace);
TIARA_DEFINE_REAL(syscall);

namespace {

// The argument after `last`, whatever its type: the kernel's own view is one word.
#define NEXT_ARGUMENT(last, type)   \
  ({                                \
    va_list list_;                  \
    va_start(list_, last);          \
    type value_ = va_arg(list_, type); \
    va_end(list_);                  \
    value_;                         \
  })

bool has_mode(int flags) noexcept { return (flags & O_CREAT) != 0 || (flags & O_TMPFILE) == O_TMPFILE; }

// Old ioctl numbers carry no size; terminals', sockets' and disks' structures have at most this many bytes.
constexpr size_t kUnsizedIoctl = 256;

size_t size_of_ioctl(unsigned long request) noexcept { return std::max<size_t>(_IOC_SIZE(request), kUnsizedIoctl); }

}  // namespace
}  // namespace tiara::preload

using namespace tiara::preload;

#define OPEN(function)                                                             \
  TIARA_INTERPOSE int function(const char* path, int flags, ...) {                 \
    const mode_t mode = has_mode(flags) ? NEXT_ARGUMENT(flags, mode_t) : 0;        \
    Guards guards;                                                                 \
    guards.string(path);                                                           \
    return TIARA_REAL(function)(path, flags, mode);                                \
  }
OPEN(open)
OPEN(open64)

#define OPEN_AT(function)                                                          \
  TIARA_INTERPOSE int function(int fd, const char* path, int flags, ...) {         \
    const mode_t mode = has_mode(flags) ? NEXT_ARGUMENT(flags, mode_t) : 0;        \
    Guards guards;                                                                 \
    guards.string(path);                                                           \
    return TIARA_REAL(function)(fd, path, flags, mode);                            \
  }
OPEN_AT(openat)
OPEN_AT(openat64)

#define FCNTL(function)                                                            \
  TIARA_INTERPOSE int function(int fd, int command, ...) {                         \
    void* argument = NEXT_ARGUMENT(command, void*);                                \
    Guards guards;                                                                 \
    guards.bytes(argument, sizeof(struct flock));                                  \
    return TIARA_REAL(function)(fd, command, argument);                            \
  }
FCNTL(fcntl)
FCNTL(fcntl64)

TIARA_INTERPOSE int ioctl(int fd, unsigned long request, ...) noexcept {
  void* argument = NEXT_ARGUMENT(request, void*);
  Guards guards;
  guards.bytes(argument, size_of_ioctl(request));
  if (is_guarding() && request == SIOCGIFCONF && argument != nullptr) {
    const auto* interfaces = static_cast<ifconf*>(argument);
    guards.bytes(interfaces->ifc_buf, static_cast<size_t>(std::max(interfaces->ifc_len, 0)));
  }
  return TIARA_REAL(ioctl)(fd, request, argument);
}

TIARA_INTERPOSE int semctl(int id, int number, int command, ...) noexcept {
  void* argument = NEXT_ARGUMENT(command, void*);
  Guards guards;
  guards.bytes(argument, tiara::kPageSize);  // GETALL and SETALL: an array whose length only the kernel knows
  return TIARA_REAL(semctl)(id, number, command, argument);
}

TIARA_INTERPOSE mqd_t mq_open(const char* name, int flags, ...) noexcept {
  va_list list;
  va_start(list, flags);
  const mode_t mode = (flags & O_CREAT) != 0 ? va_arg(list, mode_t) : 0;
  mq_attr* attributes = (flags & O_CREAT) != 0 ? va_arg(list, mq_attr*) : nullptr;
  va_end(list);
  Guards guards;
  guards.string(name);
  guards.object(attributes);
  return TIARA_REAL(mq_open)(name, flags, mode, attributes);
}

TIARA_INTERPOSE sem_t* sem_open(const char* name, int flags, ...) noexcept {
  va_list list;
  va_start(list, flags);
  const mode_t mode = (flags & O_CREAT) != 0 ? va_arg(list, mode_t) : 0;
  const unsigned value = (flags & O_CREAT) != 0 ? va_arg(list, unsigned) : 0;
  va_end(list);
  Guards guards;
  guards.string(name);
  return TIARA_REAL(sem_open)(name, flags, mode, value);
}

TIARA_INTERPOSE long ptrace(__ptrace_request request, ...) noexcept {
  va_list list;
  va_start(list, request);
  const auto process = va_arg(list, pid_t);
  void* address = va_arg(list, void*);
  void* data = va_arg(list, void*);
  va_end(list);
  Guards guards;
  guards.bytes(data, tiara::kPageSize);  // register sets; the kernel knows which
  return TIARA_REAL(ptrace)(request, process, address, data);
}

namespace {

long to_long(void* address) noexcept { return reinterpret_cast<long>(address); }
void* to_pointer(long word) noexcept { return reinterpret_cast<void*>(word); }

// Calls that the runtime has a part in go by its own functions.
bool is_taken_over(long number, const long (&words)[6], long& result) noexcept {
  switch (number) {
    case SYS_mmap:
      result = to_long(tiara::preload::map(to_pointer(words[0]), static_cast<size_t>(words[1]),
                                           static_cast<int>(words[2]), static_cast<int>(words[3]),
                                           static_cast<int>(words[4]), words[5], nullptr));
      return true;
    case SYS_mremap:
      result = to_long(remap(to_pointer(words[0]), static_cast<size_t>(words[1]), static_cast<size_t>(words[2]),
                             static_cast<int>(words[3]), to_pointer(words[4])));
      return true;
    case SYS_munmap: result = munmap(to_pointer(words[0]), static_cast<size_t>(words[1])); return true;
    case SYS_madvise:
      result = madvise(to_pointer(words[0]), static_cast<size_t>(words[1]), static_cast<int>(words[2]));
      return true;
    case SYS_mprotect:
      result = mprotect(to_pointer(words[0]), static_cast<size_t>(words[1]), static_cast<int>(words[2]));
      return true;
    case SYS_mlock: result = mlock(to_pointer(words[0]), static_cast<size_t>(words[1])); return true;
    case SYS_munlock: result = munlock(to_pointer(words[0]), static_cast<size_t>(words[1])); return true;
    case SYS_mlockall: result = mlockall(static_cast<int>(words[0])); return true;
    case SYS_close: result = close(static_cast<int>(words[0])); return true;
    case SYS_close_range:
      result = close_range(static_cast<unsigned>(words[0]), static_cast<unsigned>(words[1]),
                           static_cast<int>(words[2]));
      return true;
    case SYS_dup2: result = dup2(static_cast<int>(words[0]), static_cast<int>(words[1])); return true;
    case SYS_dup3:
      result = dup3(static_cast<int>(words[0]), static_cast<int>(words[1]), static_cast<int>(words[2]));
      return true;
    default: return false;  // numbers are an open set
  }
}

// Memory policies split the reservation's mapping, and far pages live where the pager puts them.
bool is_policy_on_far_memory(long number, long address) noexcept {
  const tiara::FarMemory* far = tiara::FarMemory::instance();
  return number == SYS_mbind && far != nullptr && far->contains(to_pointer(address));
}

// How many bytes an argument of an unknown call may name: a length follows its buffer in nearly every call.
size_t likely_length(const long (&words)[6], size_t index) noexcept {
  constexpr size_t kStructure = 4096;
  const auto next = index + 1 < 6 ? static_cast<size_t>(words[index + 1]) : 0;
  return next <= kPinnedAtOnce ? std::max(next, kStructure) : kStructure;
}

}  // namespace

// Raw calls of the program: every argument that lies in far memory is taken for a pointer and pinned; an integer that
// happens to look like one costs a pin and no more.
TIARA_INTERPOSE long syscall(long number, ...) noexcept {
  va_list list;
  va_start(list, number);
  long words[6];
  for (long& word : words) word = va_arg(list, long);
  va_end(list);
  if (active_config() == nullptr)
    return TIARA_REAL(syscall)(number, words[0], words[1], words[2], words[3], words[4], words[5]);

  long result = 0;
  if (is_taken_over(number, words, result)) return result;
  if (is_policy_on_far_memory(number, words[0])) return 0;
  if (number == SYS_seccomp || number == SYS_setuid || number == SYS_setgid || number == SYS_setresuid ||
      number == SYS_setresgid || number == SYS_setreuid || number == SYS_setregid || number == SYS_chroot)
    acquire_before_privileges_go();
  sigset_t mask;
  if (number == SYS_rt_sigprocmask && words[1] != 0 && words[0] != SIG_UNBLOCK && words[3] == 8) {
    sigemptyset(&mask);
    memcpy(&mask, to_pointer(words[1]), 8);  // the kernel's signal set
    sigdelset(&mask, SIGBUS);
    words[1] = to_long(&mask);
  }
  Guards guards;
  if (is_guarding())
    for (size_t i = 0; i < 6; ++i)
      if (is_guarded(to_pointer(words[i])))
        guards.bytes(to_pointer(words[i]), number == SYS_futex ? sizeof(uint32_t) : likely_length(words, i));
  return TIARA_REAL(syscall)(number, words[0], words[1], words[2], words[3], words[4], words[5]);
}
