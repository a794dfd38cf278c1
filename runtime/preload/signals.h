// Signals that belong to the runtime: SIGBUS in signal mode, SIGSYS where raw system calls are caught. What the program
// wants of them is remembered and honoured where they are not ours. No mask ever blocks them: a blocked synchronous
// signal ends the process.
#pragma once

#include <csignal>
#include <cstdint>

namespace tiara::preload {

// Takes SIGBUS over from the program. Once, when far memory starts in signal mode.
void take_sigbus() noexcept;
// Takes SIGSYS over; `handler` gives what is not its own to chain_signal(). It runs under the mask of what it
// interrupts.
void take_sigsys(void (*handler)(int, siginfo_t*, void*)) noexcept;
bool is_sigsys_taken() noexcept;

// What the program would have seen of a signal that was taken over.
void chain_signal(int signal, siginfo_t* info, void* context) noexcept;

// The bits of the kernel's signal mask that the program cannot set.
uint64_t reserved_signal_bits() noexcept;
// Unblocks the reserved signals in this thread.
void let_reserved_signals_through() noexcept;

// A copy of a signal mask without the reserved signals.
class PermittedMask {
 public:
  explicit PermittedMask(const sigset_t* mask) noexcept;
  const sigset_t* get() const noexcept { return is_null_ ? nullptr : &mask_; }

 private:
  bool is_null_;
  sigset_t mask_;
};

}  // namespace tiara::preload
