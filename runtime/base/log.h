// One line on stderr, built on the stack and written with a single write(2).
//
// Safe in signal handlers and between a fault and its wake-up: no allocation, no stdio, no locks.
#pragma once

#include <cstddef>
#include <cstdint>

namespace tiara {

class LogLine {
 public:
  explicit LogLine(const char* opening) noexcept;  // "tiara: " is put before it
  LogLine& text(const char* text) noexcept;
  LogLine& text(const char* text, size_t length) noexcept;
  LogLine& number(uint64_t value) noexcept;
  LogLine& hex(uint64_t value) noexcept;
  LogLine& pointer(const void* address) noexcept { return hex(reinterpret_cast<uintptr_t>(address)); }
  LogLine& error_name(int err) noexcept;  // "ENOMEM"
  void write() noexcept;                  // to descriptor 2, newline added; errno is preserved

 private:
  // A line longer than this is cut: 480 bytes hold a path and a sentence, and fit any signal stack.
  static constexpr size_t kCapacity = 480;
  size_t length_ = 0;
  char buffer_[kCapacity];
};

}  // namespace tiara
