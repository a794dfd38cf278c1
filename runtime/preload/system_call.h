// A system call as a number and six words: how syscall(2) and instructions of the program's own make it.
#pragma once

namespace tiara::preload {

using Words = long[6];

// Makes the call for the program as the named functions would: memory and descriptor calls go by the runtime, what lies
// in far memory is pinned, masks lose the reserved signals. Returns what the kernel does: a result or -errno.
// Not for calls that return twice or change the caller's signal state (raw_calls.cc).
long make_system_call(long number, const Words& words) noexcept;

}  // namespace tiara::preload
