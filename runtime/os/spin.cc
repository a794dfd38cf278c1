#include "runtime/os/spin.h"

#include <cerrno>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace tiara::os {

void yield_cpu() noexcept {
  const int saved = errno;
  syscall(SYS_sched_yield);
  errno = saved;
}

uint32_t current_cpu() noexcept { return static_cast<uint32_t>(sched_getcpu()); }

}  // namespace tiara::os
