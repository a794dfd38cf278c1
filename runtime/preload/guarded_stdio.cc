// Streams: large transfers go straight from the kernel to the program's buffer inside libc, where no wrapper stands,
// and so do long strings that are printed. FILE structures and their own buffers are near (libc allocates them).
#include <algorithm>
#include <cerrno>
#include <cstdarg>
#include <cstring>
#include <printf.h>
#include <stdio.h>
#include <stdio_ext.h>

#include "runtime/preload/guard.h"
#include "runtime/preload/real.h"
#include "runtime/residency/far_memory.h"

extern "C" {
size_t __fread_chk(void*, size_t, size_t, size_t, FILE*);
size_t __fread_unlocked_chk(void*, size_t, size_t, size_t, FILE*);
int __printf_chk(int, const char*, ...);
int __fprintf_chk(FILE*, int, const char*, ...);
int __vprintf_chk(int, const char*, va_list);
int __vfprintf_chk(FILE*, int, const char*, va_list);
}

namespace tiara::preload {

TIARA_DEFINE_REAL(fread);
TIARA_DEFINE_REAL(fread_unlocked);
TIARA_DEFINE_REAL(__fread_chk);
TIARA_DEFINE_REAL(__fread_unlocked_chk);
TIARA_DEFINE_REAL(fwrite);
TIARA_DEFINE_REAL(fwrite_unlocked);
TIARA_DEFINE_REAL(fputs);
TIARA_DEFINE_REAL(fputs_unlocked);
TIARA_DEFINE_REAL(puts);
TIARA_DEFINE_REAL(vfprintf);
TIARA_DEFINE_REAL(__vfprintf_chk);
TIARA_DEFINE_REAL(setvbuf);
TIARA_DEFINE_REAL(fopen);
TIARA_DEFINE_REAL(fopen64);
TIARA_DEFINE_REAL(freopen);
TIARA_DEFINE_REAL(freopen64);

namespace {

// A transfer smaller than the stream's buffer is copied through it: no system call sees the program's memory.
bool goes_through_buffer(FILE* stream, size_t size, size_t count) noexcept {
  size_t total = 0;
  return !__builtin_mul_overflow(size, count, &total) && total < __fbufsize(stream);
}

// Whole items, as fread and fwrite count them. The stream is locked over all pieces.
template <typename Call>
size_t items_in_pieces(void* buffer, size_t size, size_t count, Call call) noexcept {
  size_t total = 0;
  if (size == 0 || __builtin_mul_overflow(size, count, &total)) return 0;
  size_t done = 0;
  while (done < total) {
    const size_t piece = std::min(total - done, kPinnedAtOnce);
    char* here = static_cast<char*>(buffer) + done;
    Guards guards;
    guards.bytes(here, piece);
    const size_t moved = call(here, piece);
    done += moved;
    if (moved < piece) break;
  }
  return done / size;
}

class Locked {
 public:
  explicit Locked(FILE* stream) noexcept : stream_(stream) { flockfile(stream); }
  ~Locked() { funlockfile(stream_); }

 private:
  FILE* stream_;
};

size_t read_items(void* buffer, size_t size, size_t count, FILE* stream) noexcept {
  return items_in_pieces(buffer, size, count, [stream](void* here, size_t length) {
    return TIARA_REAL(fread_unlocked)(here, 1, length, stream);
  });
}

size_t write_items(const void* buffer, size_t size, size_t count, FILE* stream) noexcept {
  return items_in_pieces(const_cast<void*>(buffer), size, count, [stream](const void* here, size_t length) {
    return TIARA_REAL(fwrite_unlocked)(here, 1, length, stream);
  });
}

// Pins the strings that a format prints; libc hands those longer than a stream's buffer to write(2) as they are.
class PrintedStrings {
 public:
  PrintedStrings(const char* format, va_list arguments) noexcept {
    if (!is_guarding()) return;
    guards_.string(format);
    if (strchr(format, 's') == nullptr) return;
    int types[kMaxArguments];
    const size_t count = std::min(parse_printf_format(format, kMaxArguments, types), kMaxArguments);
    va_list list;
    va_copy(list, arguments);
    for (size_t i = 0; i < count; ++i) take(types[i], list);
    va_end(list);
  }

 private:
  static constexpr size_t kMaxArguments = 32;
  static constexpr size_t kShort = 1024;  // below any stream's buffer: always copied
  static constexpr unsigned kMaxStrings = 6;

  void take(int type, va_list list) noexcept {
    if ((type & PA_FLAG_PTR) != 0) {
      (void)va_arg(list, void*);
      return;
    }
    switch (type & ~PA_FLAG_MASK) {
      case PA_STRING: {
        const char* text = va_arg(list, const char*);
        if (is_guarded(text) && strnlen(text, kShort) == kShort && strings_++ < kMaxStrings) guards_.string(text);
        return;
      }
      case PA_WSTRING:
      case PA_POINTER: (void)va_arg(list, void*); return;
      case PA_FLOAT:
      case PA_DOUBLE:
        if ((type & PA_FLAG_LONG_DOUBLE) != 0)
          (void)va_arg(list, long double);
        else
          (void)va_arg(list, double);
        return;
      default:  // integers of every size are passed as one word
        (void)va_arg(list, long);
        return;
    }
  }
  Guards guards_;
  unsigned strings_ = 0;
};

// A stream's own buffer is the kernel's for as long as the stream lives.
void keep_near(const void* buffer, size_t size) noexcept {
  if (buffer == nullptr || !is_guarded(buffer)) return;
  const auto begin = round_down(reinterpret_cast<uintptr_t>(buffer), kPageSize);
  const auto end = round_up(reinterpret_cast<uintptr_t>(buffer) + size, kPageSize);
  FarMemory::instance()->make_near({reinterpret_cast<std::byte*>(begin), end - begin});
}

}  // namespace
}  // namespace tiara::preload

using namespace tiara::preload;

TIARA_INTERPOSE size_t fread(void* buffer, size_t size, size_t count, FILE* stream) {
  if (!is_guarded(buffer) || goes_through_buffer(stream, size, count)) [[likely]]
    return TIARA_REAL(fread)(buffer, size, count, stream);
  const Locked locked(stream);
  return read_items(buffer, size, count, stream);
}

TIARA_INTERPOSE size_t fread_unlocked(void* buffer, size_t size, size_t count, FILE* stream) {
  if (!is_guarded(buffer) || goes_through_buffer(stream, size, count)) [[likely]]
    return TIARA_REAL(fread_unlocked)(buffer, size, count, stream);
  return read_items(buffer, size, count, stream);
}

TIARA_INTERPOSE size_t __fread_chk(void* buffer, size_t room, size_t size, size_t count, FILE* stream) {
  size_t total = 0;
  if (!is_guarded(buffer) || __builtin_mul_overflow(size, count, &total) || total > room) [[likely]]
    return TIARA_REAL(__fread_chk)(buffer, room, size, count, stream);
  return fread(buffer, size, count, stream);
}

TIARA_INTERPOSE size_t __fread_unlocked_chk(void* buffer, size_t room, size_t size, size_t count, FILE* stream) {
  size_t total = 0;
  if (!is_guarded(buffer) || __builtin_mul_overflow(size, count, &total) || total > room) [[likely]]
    return TIARA_REAL(__fread_unlocked_chk)(buffer, room, size, count, stream);
  return fread_unlocked(buffer, size, count, stream);
}

TIARA_INTERPOSE size_t fwrite(const void* buffer, size_t size, size_t count, FILE* stream) {
  if (!is_guarded(buffer) || goes_through_buffer(stream, size, count)) [[likely]]
    return TIARA_REAL(fwrite)(buffer, size, count, stream);
  const Locked locked(stream);
  return write_items(buffer, size, count, stream);
}

TIARA_INTERPOSE size_t fwrite_unlocked(const void* buffer, size_t size, size_t count, FILE* stream) {
  if (!is_guarded(buffer) || goes_through_buffer(stream, size, count)) [[likely]]
    return TIARA_REAL(fwrite_unlocked)(buffer, size, count, stream);
  return write_items(buffer, size, count, stream);
}

TIARA_INTERPOSE int fputs(const char* text, FILE* stream) {
  if (!is_guarded(text)) [[likely]] return TIARA_REAL(fputs)(text, stream);
  const size_t length = strlen(text);
  return fwrite(text, 1, length, stream) == length ? 1 : EOF;
}

TIARA_INTERPOSE int fputs_unlocked(const char* text, FILE* stream) {
  if (!is_guarded(text)) [[likely]] return TIARA_REAL(fputs_unlocked)(text, stream);
  const size_t length = strlen(text);
  return fwrite_unlocked(text, 1, length, stream) == length ? 1 : EOF;
}

TIARA_INTERPOSE int puts(const char* text) {
  if (!is_guarded(text)) [[likely]] return TIARA_REAL(puts)(text);
  const Locked locked(stdout);
  return fputs_unlocked(text, stdout) == EOF || putc_unlocked('\n', stdout) == EOF ? EOF : 1;
}

TIARA_INTERPOSE int vfprintf(FILE* stream, const char* format, va_list arguments) {
  const PrintedStrings strings(format, arguments);
  return TIARA_REAL(vfprintf)(stream, format, arguments);
}

TIARA_INTERPOSE int __vfprintf_chk(FILE* stream, int level, const char* format, va_list arguments) {
  const PrintedStrings strings(format, arguments);
  return TIARA_REAL(__vfprintf_chk)(stream, level, format, arguments);
}

TIARA_INTERPOSE int vprintf(const char* format, va_list arguments) { return vfprintf(stdout, format, arguments); }
TIARA_INTERPOSE int __vprintf_chk(int level, const char* format, va_list arguments) {
  return __vfprintf_chk(stdout, level, format, arguments);
}

#define PASS_ON(last, call)              \
  va_list arguments;                     \
  va_start(arguments, last);             \
  const int result = call;               \
  va_end(arguments);                     \
  return result

TIARA_INTERPOSE int printf(const char* format, ...) { PASS_ON(format, vfprintf(stdout, format, arguments)); }
TIARA_INTERPOSE int fprintf(FILE* stream, const char* format, ...) {
  PASS_ON(format, vfprintf(stream, format, arguments));
}
TIARA_INTERPOSE int __printf_chk(int level, const char* format, ...) {
  PASS_ON(format, __vfprintf_chk(stdout, level, format, arguments));
}
TIARA_INTERPOSE int __fprintf_chk(FILE* stream, int level, const char* format, ...) {
  PASS_ON(format, __vfprintf_chk(stream, level, format, arguments));
}

TIARA_INTERPOSE int setvbuf(FILE* stream, char* buffer, int mode, size_t size) {
  keep_near(buffer, size);
  return TIARA_REAL(setvbuf)(stream, buffer, mode, size);
}
TIARA_INTERPOSE void setbuffer(FILE* stream, char* buffer, size_t size) {
  setvbuf(stream, buffer, buffer != nullptr ? _IOFBF : _IONBF, size);
}
TIARA_INTERPOSE void setbuf(FILE* stream, char* buffer) { setbuffer(stream, buffer, BUFSIZ); }

#define OPEN_STREAM(function)                                              \
  TIARA_INTERPOSE FILE* function(const char* path, const char* mode) {     \
    Guards guards;                                                         \
    guards.string(path);                                                   \
    return TIARA_REAL(function)(path, mode);                               \
  }
OPEN_STREAM(fopen)
OPEN_STREAM(fopen64)

#define REOPEN_STREAM(function)                                                          \
  TIARA_INTERPOSE FILE* function(const char* path, const char* mode, FILE* stream) {     \
    Guards guards;                                                                       \
    guards.string(path);                                                                 \
    return TIARA_REAL(function)(path, mode, stream);                                     \
  }
REOPEN_STREAM(freopen)
REOPEN_STREAM(freopen64)
