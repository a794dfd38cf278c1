// Threads of the runtime inside somebody else's process: no signal of the program ever runs on them.
#pragma once

#include <cstdint>
#include <optional>

#include "runtime/base/error.h"

namespace tiara::fault {

// Blocks every signal of the calling thread, except SIGBUS (how far memory is delivered) and the two that libc keeps
// for itself (thread cancellation, and setuid, which would hang without it). Whoever owns page words must not run the
// program's signal handlers: they may touch the very page. Raw system calls; errno is preserved. Returns the mask
// that restore_signals() takes.
uint64_t block_signals() noexcept;
void restore_signals(uint64_t mask) noexcept;

class SignalsBlocked {
 public:
  SignalsBlocked() noexcept : saved_(block_signals()) {}
  ~SignalsBlocked() { restore_signals(saved_); }
  SignalsBlocked(const SignalsBlocked&) = delete;
  SignalsBlocked& operator=(const SignalsBlocked&) = delete;

 private:
  const uint64_t saved_;
};

// Starts a detached thread named `name` (at most 15 characters) with every signal blocked, on CPU `cpu` if given.
// It is created by libc's own pthread_create, past any interposer.
Result<void> spawn_service_thread(const char* name, void (*run)(void*), void* argument,
                                  std::optional<uint32_t> cpu = std::nullopt);

}  // namespace tiara::fault
