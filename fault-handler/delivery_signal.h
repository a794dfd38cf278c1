// Signal delivery: the kernel raises SIGBUS in the faulting thread, which resolves its own fault.
#pragma once

#include <csignal>
#include <cstddef>
#include <cstdint>

#include "fault-handler/resolver.h"
#include "runtime/base/error.h"

namespace tiara::fault {

enum class Verdict : uint8_t { kHandled, kNotOurs };

// Serves the fault behind a SIGBUS if it is one of ours; async-signal-safe, errno is preserved. The handler that
// calls this must have every signal blocked (sa_mask): this thread will own page words.
Verdict handle_sigbus(Resolver& resolver, const std::byte* base, size_t size, const siginfo_t& info) noexcept;

// Installs a process-wide SIGBUS handler (alternate stack, all signals blocked). For programs that have no
// interposition of their own, such as tests; `handler` is called with the siginfo and must deal with it.
Result<void> install_sigbus_handler(void (*handler)(int, siginfo_t*, void*));

}  // namespace tiara::fault
