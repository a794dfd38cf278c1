// futex(2) on a 32-bit word: wait with a bound, wake. Shared futexes work across processes that map the word.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>

namespace tiara::os {

enum class FutexScope { kPrivate, kShared };
enum class FutexWait { kWoken, kValueChanged, kTimedOut };  // kWoken includes spurious returns and EINTR

// Sleeps while *word == expected, at most `timeout`. The caller re-reads the word whatever comes back.
[[nodiscard]] FutexWait futex_wait(const std::atomic<uint32_t>& word, uint32_t expected,
                                   std::chrono::nanoseconds timeout, FutexScope scope) noexcept;
void futex_wake_all(const std::atomic<uint32_t>& word, FutexScope scope) noexcept;
void futex_wake_one(const std::atomic<uint32_t>& word, FutexScope scope) noexcept;

}  // namespace tiara::os
