#include "runtime/os/unique_fd.h"

#include <cerrno>
#include <sys/syscall.h>
#include <unistd.h>

namespace tiara {

void UniqueFd::reset(int fd) noexcept {
  const int old = std::exchange(fd_, fd);
  if (old < 0) return;
  const int saved = errno;
  // The descriptor is gone whatever close returns (close(2)).
#ifdef __SANITIZE_THREAD__
  ::close(old);  // which ThreadSanitizer sees; or it takes the number's next owner for the last one
#else
  syscall(SYS_close, old);
#endif
  errno = saved;
}

}  // namespace tiara
