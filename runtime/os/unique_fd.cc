#include "runtime/os/unique_fd.h"

#include <cerrno>
#include <sys/syscall.h>
#include <unistd.h>

namespace tiara {

void UniqueFd::reset(int fd) noexcept {
  const int old = std::exchange(fd_, fd);
  if (old < 0) return;
  const int saved = errno;
  syscall(SYS_close, old);  // the descriptor is gone whatever close returns (close(2))
  errno = saved;
}

}  // namespace tiara
