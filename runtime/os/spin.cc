#include "runtime/os/spin.h"

#include <cerrno>
#include <sys/syscall.h>
#include <unistd.h>

namespace tiara::os {

void yield_cpu() noexcept {
  const int saved = errno;
  syscall(SYS_sched_yield);
  errno = saved;
}

}  // namespace tiara::os
