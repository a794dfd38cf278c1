#include "runtime/base/log.h"

#include <cerrno>
#include <cstring>
#include <sys/syscall.h>
#include <unistd.h>

namespace tiara {

LogLine::LogLine(const char* opening) noexcept { text("tiara: ").text(opening); }

LogLine& LogLine::text(const char* text) noexcept { return this->text(text, strlen(text)); }

LogLine& LogLine::text(const char* text, size_t length) noexcept {
  const size_t room = kCapacity - 1 - length_;  // one byte is kept for the newline
  const size_t taken = length < room ? length : room;
  memcpy(buffer_ + length_, text, taken);
  length_ += taken;
  return *this;
}

LogLine& LogLine::number(uint64_t value) noexcept {
  char digits[20];
  size_t count = 0;
  do {
    digits[sizeof digits - ++count] = static_cast<char>('0' + value % 10);
    value /= 10;
  } while (value != 0);
  return text(digits + sizeof digits - count, count);
}

LogLine& LogLine::hex(uint64_t value) noexcept {
  char digits[16];
  size_t count = 0;
  do {
    digits[sizeof digits - ++count] = "0123456789abcdef"[value & 15];
    value >>= 4;
  } while (value != 0);
  return text("0x").text(digits + sizeof digits - count, count);
}

LogLine& LogLine::error_name(int err) noexcept {
  const char* name = strerrorname_np(err);
  return name != nullptr ? text(name) : text("errno ").number(static_cast<uint64_t>(err));
}

void LogLine::write() noexcept {
  const int saved = errno;
  buffer_[length_] = '\n';
  // The raw call: `write` is interposed by the preload layer. A failing stderr leaves nobody to tell.
  [[maybe_unused]] const long written = syscall(SYS_write, 2, buffer_, length_ + 1);
  errno = saved;
}

}  // namespace tiara
