// What the runtime itself means when it calls these: the linker's --wrap sends every call from inside libtiara.so
// here instead of to our own interposers. Its memory is near, its mutexes and system calls need no guarding, its
// threads are not the program's.
#include <cerrno>
#include <cstdarg>
#include <csignal>
#include <pthread.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "runtime/placement/heap.h"
#include "runtime/preload/real.h"

namespace heap = tiara::placement::heap;
using namespace tiara::preload;

TIARA_DEFINE_REAL(pthread_create);
TIARA_DEFINE_REAL(pthread_mutex_lock);
TIARA_DEFINE_REAL(pthread_mutex_trylock);
TIARA_DEFINE_REAL(pthread_mutex_unlock);
TIARA_DEFINE_REAL(pthread_sigmask);
TIARA_DEFINE_REAL(pthread_once);
TIARA_DEFINE_REAL(pthread_rwlock_rdlock);
TIARA_DEFINE_REAL(pthread_rwlock_wrlock);
TIARA_DEFINE_REAL(pthread_rwlock_unlock);
TIARA_DEFINE_REAL(close);
TIARA_DEFINE_REAL(syscall);

extern "C" {

void* __wrap_malloc(size_t size) { return heap::allocate_near(size); }
void* __wrap_calloc(size_t count, size_t size) { return heap::allocate_near_zeroed(count, size); }
void* __wrap_realloc(void* block, size_t size) { return heap::reallocate_near(block, size); }
void __wrap_free(void* block) { heap::release(block); }
void* __wrap_aligned_alloc(size_t alignment, size_t size) { return heap::allocate_near_aligned(alignment, size); }
int __wrap_posix_memalign(void** block, size_t alignment, size_t size) {
  *block = heap::allocate_near_aligned(alignment, size);
  return *block == nullptr ? ENOMEM : 0;
}

int __wrap_pthread_mutex_lock(pthread_mutex_t* mutex) { return TIARA_REAL(pthread_mutex_lock)(mutex); }
int __wrap_pthread_mutex_trylock(pthread_mutex_t* mutex) { return TIARA_REAL(pthread_mutex_trylock)(mutex); }
int __wrap_pthread_mutex_unlock(pthread_mutex_t* mutex) { return TIARA_REAL(pthread_mutex_unlock)(mutex); }
int __wrap_pthread_create(pthread_t* thread, const pthread_attr_t* attributes, void* (*routine)(void*),
                          void* argument) {
  return TIARA_REAL(pthread_create)(thread, attributes, routine, argument);
}
int __wrap_pthread_sigmask(int how, const sigset_t* mask, sigset_t* old) {
  return TIARA_REAL(pthread_sigmask)(how, mask, old);
}
int __wrap_pthread_once(pthread_once_t* once, void (*routine)()) { return TIARA_REAL(pthread_once)(once, routine); }
int __wrap_pthread_rwlock_rdlock(pthread_rwlock_t* lock) { return TIARA_REAL(pthread_rwlock_rdlock)(lock); }
int __wrap_pthread_rwlock_wrlock(pthread_rwlock_t* lock) { return TIARA_REAL(pthread_rwlock_wrlock)(lock); }
int __wrap_pthread_rwlock_unlock(pthread_rwlock_t* lock) { return TIARA_REAL(pthread_rwlock_unlock)(lock); }
int __wrap_close(int fd) { return TIARA_REAL(close)(fd); }

// libc's own, which is where system-call instructions are allowed (raw_calls.h).
long __wrap_syscall(long number, ...) {
  va_list list;
  va_start(list, number);
  long arguments[6];
  for (long& argument : arguments) argument = va_arg(list, long);
  va_end(list);
  return TIARA_REAL(syscall)(number, arguments[0], arguments[1], arguments[2], arguments[3], arguments[4],
                             arguments[5]);
}

}  // extern "C"
