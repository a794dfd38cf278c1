// System-call instructions outside libc: inline assembly, statically linked parts, code made at run time.
//
// Syscall User Dispatch (Linux 5.11) makes each of them a SIGSYS in the thread that executes it, unless it lies in
// libc's own code or the thread's selector byte says "allow". The handler makes the call for the program with its far
// arguments pinned, and puts the result where the kernel would have. Calls by libc cost nothing.
#pragma once

#include <cstdint>

namespace tiara::preload {

// What the kernel reads at each such instruction (linux/prctl.h: SYSCALL_DISPATCH_FILTER_*).
enum class Selector : uint8_t { kAllow = 0, kCatch = 1 };

struct RawCallsOfThread {
  volatile Selector selector = Selector::kAllow;
  Selector at_rest = Selector::kAllow;  // the selector while the program's own code runs
};
extern constinit thread_local RawCallsOfThread raw_calls_of_thread __attribute__((visibility("hidden")));

// While it lives, instructions of the runtime's own (in libraries it brings along) go straight to the kernel.
class RuntimeCalls {
 public:
  RuntimeCalls() noexcept { raw_calls_of_thread.selector = Selector::kAllow; }
  ~RuntimeCalls() { raw_calls_of_thread.selector = raw_calls_of_thread.at_rest; }
  RuntimeCalls(const RuntimeCalls&) = delete;
  RuntimeCalls& operator=(const RuntimeCalls&) = delete;
};

// From here on the calling thread's raw calls are caught, if the configuration asks for it. Cheap when they are.
// Threads catch from their start on, whether far memory has started or not: it may start in another one.
void catch_raw_calls() noexcept;
// In a forked child: the kernel has switched it off.
void catch_raw_calls_again() noexcept;
// The program uses Syscall User Dispatch itself: the calling thread is its own from here on.
void leave_raw_calls_to_program() noexcept;

// Why raw calls are not caught although they should be; nullptr when nothing is wrong.
const char* why_raw_calls_are_not_caught() noexcept;

}  // namespace tiara::preload
