// What every kernel test needs: a registered range, a way to see SIGBUS, and an honest way to say "not here".
#pragma once

#include <csetjmp>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <span>

#include "fault-handler/uapi.h"
#include "fault-handler/userfaultfd.h"
#include "runtime/os/memory.h"

namespace tiara::testing {

// Meson's number for "skipped", with the reason on stdout.
[[noreturn]] inline void skip(const char* reason) {
  printf("skipped: %s\n", reason);
  exit(77);
}

#define EXPECT(condition)                                                     \
  do {                                                                        \
    if (!(condition)) {                                                       \
      fprintf(stderr, "%s:%d: expected %s\n", __FILE__, __LINE__, #condition); \
      exit(1);                                                                \
    }                                                                         \
  } while (false)

inline fault::Userfaultfd open_or_skip(fault::Delivery delivery, uint64_t features) {
  auto offered = fault::Userfaultfd::probe_features(delivery);
  if (!offered) skip(offered.error().message.c_str());
  if ((*offered & features) != features) skip("this kernel's userfaultfd lacks a feature that is tested here");
  auto uffd = fault::Userfaultfd::open(delivery, features);
  if (!uffd) skip(uffd.error().message.c_str());
  return std::move(*uffd);
}

// `pages` pages of private anonymous memory.
inline std::span<std::byte> make_range(size_t pages) {
  auto mapping = *os::Mapping::anonymous(Bytes{pages * kPageSize});
  (void)os::raw_madvise(mapping.data(), mapping.size(), 15 /* MADV_NOHUGEPAGE */);
  const auto span = mapping.span();
  mapping.release();
  return span;
}

inline std::byte* page_of(std::span<std::byte> range, size_t page) { return range.data() + page * kPageSize; }

inline thread_local sigjmp_buf sigbus_return;

inline void catch_sigbus() {
  struct sigaction action {};
  action.sa_handler = [](int) { siglongjmp(sigbus_return, 1); };
  action.sa_flags = SA_NODEFER;
  sigaction(SIGBUS, &action, nullptr);
}

// True when touching `run` raised SIGBUS.
template <typename Run>
bool raises_sigbus(Run run) {
  if (sigsetjmp(sigbus_return, 1) != 0) return true;
  run();
  return false;
}

inline uint8_t read_byte(const std::byte* at) { return *reinterpret_cast<const volatile uint8_t*>(at); }
inline void write_byte(std::byte* at, uint8_t value) { *reinterpret_cast<volatile uint8_t*>(at) = value; }

}  // namespace tiara::testing
