#include "fault-handler/service_thread.h"

#include <atomic>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstddef>
#include <dlfcn.h>
#include <pthread.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "runtime/os/futex.h"

namespace tiara::fault {
namespace {

constexpr uint64_t signal_bit(int signal) { return uint64_t{1} << (signal - 1); }
// glibc's SIGCANCEL and SIGSETXID (nptl/internal-signals.h); and SIGBUS, which would kill the thread if a far page
// were touched (libc's own part of fork runs under this mask).
constexpr uint64_t kBlocked = ~(signal_bit(32) | signal_bit(33) | signal_bit(SIGBUS));

// A thread of ours runs the resolver and the store; both keep their large buffers elsewhere.
constexpr size_t kStackBytes = 256 << 10;

// Lives on the creator's stack until the new thread has read it: nothing is allocated.
struct Start {
  const char* name;
  void (*run)(void*);
  void* argument;
  std::atomic<uint32_t> is_read{0};
};

void* enter(void* raw) {
  Start* start = static_cast<Start*>(raw);
  void (*const run)(void*) = start->run;
  void* const argument = start->argument;
  pthread_setname_np(pthread_self(), start->name);
  start->is_read.store(1, std::memory_order_release);  // pairs with the creator's load
  os::futex_wake_all(start->is_read, os::FutexScope::kPrivate);
  run(argument);
  return nullptr;
}

using CreateThread = int (*)(pthread_t*, const pthread_attr_t*, void* (*)(void*), void*);

}  // namespace

uint64_t block_signals() noexcept {
  const int saved_errno = errno;
  const uint64_t mask = kBlocked;
  uint64_t before = 0;
  syscall(SYS_rt_sigprocmask, SIG_SETMASK, &mask, &before, sizeof mask);
  errno = saved_errno;
  return before;
}

void restore_signals(uint64_t mask) noexcept {
  const int saved_errno = errno;
  syscall(SYS_rt_sigprocmask, SIG_SETMASK, &mask, nullptr, sizeof mask);
  errno = saved_errno;
}

Result<void> spawn_service_thread(const char* name, void (*run)(void*), void* argument, std::optional<uint32_t> cpu) {
  void* next = dlsym(RTLD_NEXT, "pthread_create");
  const auto create = next != nullptr ? reinterpret_cast<CreateThread>(next) : &pthread_create;
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  pthread_attr_setstacksize(&attributes, kStackBytes);
  if (cpu) {
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(*cpu, &one);
    pthread_attr_setaffinity_np(&attributes, sizeof one, &one);
  }
  Start start{name, run, argument};
  pthread_t thread;
  int err = 0;
  {
    const SignalsBlocked blocked;  // the new thread inherits the mask
    err = create(&thread, &attributes, enter, &start);
  }
  pthread_attr_destroy(&attributes);
  if (err == 0) {
    while (start.is_read.load(std::memory_order_acquire) == 0)
      (void)os::futex_wait(start.is_read, 0, std::chrono::milliseconds(50), os::FutexScope::kPrivate);
    return {};
  }
  return std::unexpected(system_error("pthread_create", name, err));
}

}  // namespace tiara::fault
