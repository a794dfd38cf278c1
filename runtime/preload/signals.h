// SIGBUS belongs to the runtime in signal mode; what the program wants of it is remembered and honoured for faults
// that are not ours. No mask ever blocks it: a blocked synchronous signal ends the process.
#pragma once

#include <csignal>

namespace tiara::preload {

// Takes SIGBUS over from the program. Once, when far memory starts in signal mode.
void take_sigbus() noexcept;

// A copy of a signal mask without SIGBUS.
class UnblockedSigbus {
 public:
  explicit UnblockedSigbus(const sigset_t* mask) noexcept : is_null_(mask == nullptr) {
    if (is_null_) return;
    mask_ = *mask;
    sigdelset(&mask_, SIGBUS);
  }
  const sigset_t* get() const noexcept { return is_null_ ? nullptr : &mask_; }

 private:
  bool is_null_;
  sigset_t mask_;
};

}  // namespace tiara::preload
