#include "runtime/base/check.h"

#include <atomic>
#include <cstdlib>
#include <sys/syscall.h>
#include <unistd.h>

#include "runtime/base/log.h"

namespace tiara {

void check_failed(const char* file, int line, const char* expression) noexcept {
  LogLine("bug: ").text(file).text(":").number(static_cast<uint64_t>(line)).text(": ").text(expression).write();
  abort();
}

void fatal(int exit_status, const char* what, const char* cure) noexcept {
  // A lost node meets every thread at once: the first says so for all, the others wait for its exit_group.
  static std::atomic_flag is_ending;
  while (is_ending.test_and_set(std::memory_order_relaxed)) syscall(SYS_sched_yield);
  LogLine("fatal: ").text(what).text("; ").text(cure).write();
  // The raw call: the preload layer interposes exit paths, and no handler may run after this line.
  for (;;) syscall(SYS_exit_group, exit_status);
}

}  // namespace tiara
