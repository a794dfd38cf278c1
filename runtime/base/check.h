// Our own bugs stop the process at once: a pager that goes on after a broken invariant hands out wrong bytes.
//
// Nothing here allocates or takes a lock: both may be used on the fault path and in signal handlers.
#pragma once

#include <cstdint>

namespace tiara {

// Writes "tiara: FILE:LINE: EXPRESSION" with write(2) and aborts.
[[noreturn]] void check_failed(const char* file, int line, const char* expression) noexcept;

// The world broke in a way that leaves no right answer (a lost node, a page that does not match its hash):
// writes "tiara: fatal: WHAT; CURE" as one line with write(2) and ends the whole process with `exit_status`
// (see exit_status.h). No destructors, no atexit: nothing may read far memory any more.
[[noreturn]] void fatal(int exit_status, const char* what, const char* cure) noexcept;

}  // namespace tiara

#define TIARA_CHECK(condition) \
  (__builtin_expect(!!(condition), 1) ? (void)0 : ::tiara::check_failed(__FILE__, __LINE__, #condition))

// For invariants too dear for release builds.
#ifdef NDEBUG
#define TIARA_DCHECK(condition) ((void)sizeof(!!(condition)))
#else
#define TIARA_DCHECK(condition) TIARA_CHECK(condition)
#endif
