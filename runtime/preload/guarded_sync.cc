// Locks of the program in far memory: their waits are futex system calls on the object itself. Uncontended paths stay
// in user mode, where a missing page is an ordinary fault; only a wait is pinned. Waking a private futex does not touch
// its word; of shared and priority-inheriting ones the kernel does.
#include <cerrno>
#include <pthread.h>
#include <semaphore.h>
#include <threads.h>

#include "runtime/preload/guard.h"
#include "runtime/preload/real.h"

namespace tiara::preload {

TIARA_DEFINE_REAL(pthread_mutex_lock);
TIARA_DEFINE_REAL(pthread_mutex_trylock);
TIARA_DEFINE_REAL(pthread_mutex_unlock);

namespace {

// Bits of glibc's mutex kind (its ABI): protocol and sharing.
constexpr int kPriorityInherit = 32;
constexpr int kPriorityProtect = 64;
constexpr int kShared = 128;

bool kernel_looks_at(const pthread_mutex_t* mutex) noexcept {
  return (mutex->__data.__kind & (kPriorityInherit | kPriorityProtect | kShared)) != 0;
}

}  // namespace
}  // namespace tiara::preload

using namespace tiara::preload;

TIARA_INTERPOSE int pthread_mutex_lock(pthread_mutex_t* mutex) {
  if (!is_guarded(mutex)) [[likely]] return TIARA_REAL(pthread_mutex_lock)(mutex);
  if (!kernel_looks_at(mutex)) {
    const int result = TIARA_REAL(pthread_mutex_trylock)(mutex);
    if (result != EBUSY) return result;
  }
  Guards guards;
  guards.object(mutex);
  return TIARA_REAL(pthread_mutex_lock)(mutex);
}

TIARA_INTERPOSE int pthread_mutex_trylock(pthread_mutex_t* mutex) {
  if (!is_guarded(mutex) || !kernel_looks_at(mutex)) [[likely]] return TIARA_REAL(pthread_mutex_trylock)(mutex);
  Guards guards;
  guards.object(mutex);
  return TIARA_REAL(pthread_mutex_trylock)(mutex);
}

TIARA_INTERPOSE int pthread_mutex_unlock(pthread_mutex_t* mutex) {
  if (!is_guarded(mutex) || !kernel_looks_at(mutex)) [[likely]] return TIARA_REAL(pthread_mutex_unlock)(mutex);
  Guards guards;
  guards.object(mutex);
  return TIARA_REAL(pthread_mutex_unlock)(mutex);
}

// The rest pins for the length of the call.
namespace tiara::preload {
#define GUARDED(result, function, parameters, arguments, ...) TIARA_DEFINE_REAL(function);
#include "runtime/preload/guarded_locks.def"
#undef GUARDED
}  // namespace tiara::preload

#define GUARDED(result, function, parameters, arguments, ...)       \
  TIARA_INTERPOSE result function parameters {                      \
    if (!is_guarding()) return TIARA_REAL(function) arguments;      \
    Guards g;                                                       \
    __VA_ARGS__;                                                    \
    return TIARA_REAL(function) arguments;                          \
  }
#include "runtime/preload/guarded_locks.def"
