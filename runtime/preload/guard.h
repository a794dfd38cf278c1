// System calls on far memory in signal mode: the kernel must not meet a page that is away, or it answers EFAULT.
//
// A wrapper makes a Guards, names what the kernel will read or write, and calls the real function. For near memory
// that costs a load and a compare. In message and hybrid mode the guarded range is empty and everything passes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <sys/uio.h>

#include "runtime/residency/far_memory.h"

namespace tiara::preload {

// The range that needs guarding; empty until far memory starts in signal mode; set again
// in a forked child, which has one thread.
struct GuardedRange {
  uintptr_t base = 0;
  size_t size = 0;
};
extern GuardedRange guarded_range __attribute__((visibility("hidden")));

inline bool is_guarding() noexcept { return guarded_range.size != 0; }
inline bool is_guarded(const void* address) noexcept {
  return reinterpret_cast<uintptr_t>(address) - guarded_range.base < guarded_range.size;
}

// The range whose missing pages raise SIGBUS: far memory in signal and in hybrid mode. Code that runs with every signal
// blocked (libc's half of posix_spawn) must not meet one there.
extern GuardedRange signal_range __attribute__((visibility("hidden")));

inline bool raises_signals() noexcept { return signal_range.size != 0; }
inline bool may_raise_signal(const void* address) noexcept {
  return reinterpret_cast<uintptr_t>(address) - signal_range.base < signal_range.size;
}

// --copy-sends: short messages leave from the stack (guarded_io.cc). Set when far memory starts.
extern bool copies_short_sends_ __attribute__((visibility("hidden")));
inline bool copies_short_sends() noexcept { return copies_short_sends_; }

class Guards {
 public:
  Guards() noexcept;
  ~Guards();
  Guards(const Guards&) = delete;
  Guards& operator=(const Guards&) = delete;

  // `length` bytes that the kernel reads or writes. Null and near pointers cost a compare.
  template <typename T>
  void bytes(T* address, size_t length) noexcept {
    if (is_guarded(const_cast<const void*>(static_cast<const volatile void*>(address)))) [[unlikely]]
      add(const_cast<const void*>(static_cast<const volatile void*>(address)), length);
  }
  // One object, or `count` of them.
  template <typename T>
  void object(T* address, size_t count = 1) noexcept {
    bytes(address, sizeof(T) * count);
  }
  void string(const char* text) noexcept {
    if (is_guarded(text)) [[unlikely]] add(text, strlen(text) + 1);
  }
  // A buffer whose length is behind a pointer (socket addresses and options): both.
  template <typename L>
  void sized(const void* address, L* length) noexcept {
    object(length);
    if (length != nullptr) bytes(address, static_cast<size_t>(*length));
  }

 protected:
  void add(const void* address, size_t length, FarMemory::PinFor reader = FarMemory::PinFor::kKernel) noexcept;

 private:
  uint32_t base_;
};

// As Guards, in hybrid mode too.
class SpawnGuards : private Guards {
  static constexpr FarMemory::PinFor kReader = FarMemory::PinFor::kBlockedSignals;

 public:
  void string(const char* text) noexcept {
    if (may_raise_signal(text)) [[unlikely]] add(text, strlen(text) + 1, kReader);
  }
  template <typename T>
  void object(const T* address) noexcept {
    if (may_raise_signal(address)) [[unlikely]] add(address, sizeof(T), kReader);
  }
};

// Gives back the pins of calls that never returned here: cancelled threads.
void forget_pins_of_this_thread() noexcept;

// A transfer is pinned in pieces of this size, so that one call cannot claim the whole local budget.
inline constexpr size_t kPinnedAtOnce = 256 * 1024;

}  // namespace tiara::preload
