// System calls with a variable argument list, and syscall(2) itself (system_call.h).
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
#include "runtime/preload/devices.h"
#include "runtime/preload/guard.h"
#include "runtime/preload/process.h"
#include "runtime/preload/real.h"
#include "runtime/preload/system_call.h"

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
    return note_opened(TIARA_REAL(function)(path, flags, mode), path);             \
  }
OPEN(open)
OPEN(open64)

#define OPEN_AT(function)                                                          \
  TIARA_INTERPOSE int function(int fd, const char* path, int flags, ...) {         \
    const mode_t mode = has_mode(flags) ? NEXT_ARGUMENT(flags, mode_t) : 0;        \
    Guards guards;                                                                 \
    guards.string(path);                                                           \
    return note_opened(TIARA_REAL(function)(fd, path, flags, mode), path);         \
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

// Raw calls of the program.
TIARA_INTERPOSE long syscall(long number, ...) noexcept {
  va_list list;
  va_start(list, number);
  Words words;
  for (long& word : words) word = va_arg(list, long);
  va_end(list);
  if (active_config() == nullptr)
    return TIARA_REAL(syscall)(number, words[0], words[1], words[2], words[3], words[4], words[5]);
  const long result = make_system_call(number, words);
  if (result >= 0 || result < -4095) return result;  // the kernel's range of error numbers
  errno = static_cast<int>(-result);
  return -1;
}
