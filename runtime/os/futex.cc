#include "runtime/os/futex.h"

#include <cerrno>
#include <climits>
#include <ctime>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "runtime/base/check.h"

namespace tiara::os {
namespace {

uint32_t* address_of(const std::atomic<uint32_t>& word) noexcept {
  return reinterpret_cast<uint32_t*>(const_cast<std::atomic<uint32_t>*>(&word));
}

int operation(int op, FutexScope scope) noexcept {
  return scope == FutexScope::kPrivate ? op | FUTEX_PRIVATE_FLAG : op;
}

void wake(const std::atomic<uint32_t>& word, int count, FutexScope scope) noexcept {
  const int saved = errno;
  syscall(SYS_futex, address_of(word), operation(FUTEX_WAKE, scope), count, nullptr, nullptr, 0);
  errno = saved;
}

}  // namespace

FutexWait futex_wait(const std::atomic<uint32_t>& word, uint32_t expected, std::chrono::nanoseconds timeout,
                     FutexScope scope) noexcept {
  const int saved = errno;
  timespec bound{};
  bound.tv_sec = static_cast<time_t>(timeout.count() / 1'000'000'000);
  bound.tv_nsec = static_cast<long>(timeout.count() % 1'000'000'000);
  const long result = syscall(SYS_futex, address_of(word), operation(FUTEX_WAIT, scope), expected, &bound, nullptr, 0);
  const int err = errno;
  errno = saved;
  if (result == 0 || err == EINTR) return FutexWait::kWoken;
  if (err == EAGAIN) return FutexWait::kValueChanged;
  TIARA_CHECK(err == ETIMEDOUT);
  return FutexWait::kTimedOut;
}

void futex_wake_all(const std::atomic<uint32_t>& word, FutexScope scope) noexcept { wake(word, INT_MAX, scope); }
void futex_wake_one(const std::atomic<uint32_t>& word, FutexScope scope) noexcept { wake(word, 1, scope); }

}  // namespace tiara::os
