// What jemalloc takes from the operating system, redirected by jemalloc_renames.txt: memory by raw system calls
// (the program's mmap may be far memory), and no configuration from the program's environment or /etc.
#include <cerrno>
#include <cstdint>
#include <sys/mman.h>
#include <sys/types.h>

#include "runtime/os/memory.h"

namespace {

int to_libc(int negative_errno) noexcept {
  if (negative_errno == 0) return 0;
  errno = -negative_errno;
  return -1;
}

}  // namespace

extern "C" {

void* tiara_jemalloc_mmap(void* address, size_t length, int protection, int flags, int fd, off_t offset) {
  return tiara::os::raw_mmap(address, length, protection, flags, fd, offset);
}
int tiara_jemalloc_munmap(void* address, size_t length) { return to_libc(tiara::os::raw_munmap(address, length)); }
int tiara_jemalloc_madvise(void* address, size_t length, int advice) {
  return to_libc(tiara::os::raw_madvise(address, length, advice));
}
int tiara_jemalloc_mprotect(void* address, size_t length, int protection) {
  return to_libc(tiara::os::raw_mprotect(address, length, protection));
}
// The break belongs to the program.
void* tiara_jemalloc_sbrk(intptr_t) {
  errno = ENOMEM;
  return reinterpret_cast<void*>(-1);
}
// MALLOC_CONF and /etc/malloc.conf are meant for a jemalloc of the program's own.
ssize_t tiara_jemalloc_readlink(const char*, char*, size_t) {
  errno = ENOENT;
  return -1;
}
char* tiara_jemalloc_secure_getenv(const char*) { return nullptr; }

}  // extern "C"
