// mmap and its family over far memory.
#include <catch2/catch.hpp>
#include <cerrno>
#include <csetjmp>
#include <csignal>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tests/preload/far.h"

namespace {

constexpr size_t kMiB = 1 << 20;

char* map(size_t size, int protection = PROT_READ | PROT_WRITE, int more = 0) {
  void* pages = mmap(nullptr, size, protection, MAP_PRIVATE | MAP_ANONYMOUS | more, -1, 0);
  return pages == MAP_FAILED ? nullptr : static_cast<char*>(pages);
}

void fill(char* bytes, size_t size, unsigned seed) {
  for (size_t i = 0; i < size; ++i) bytes[i] = far::Block::pattern(seed, i);
}
bool holds(const char* bytes, size_t size, unsigned seed, size_t from = 0) {
  for (size_t i = 0; i < size; ++i)
    if (bytes[i] != far::Block::pattern(seed, from + i)) return false;
  return true;
}
bool is_zero(const char* bytes, size_t size) {
  for (size_t i = 0; i < size; ++i)
    if (bytes[i] != 0) return false;
  return true;
}

sigjmp_buf jump;
void on_fault(int) { siglongjmp(jump, 1); }

// Does a read of this byte end in a signal?
bool faults(const volatile char* byte) {
  struct sigaction action {}, segv, bus;
  action.sa_handler = on_fault;
  action.sa_flags = SA_NODEFER;
  sigaction(SIGSEGV, &action, &segv);
  sigaction(SIGBUS, &action, &bus);
  volatile bool is_faulting = true;
  if (sigsetjmp(jump, 1) == 0) {
    (void)*byte;
    is_faulting = false;
  }
  sigaction(SIGSEGV, &segv, nullptr);
  sigaction(SIGBUS, &bus, nullptr);
  return is_faulting;
}

}  // namespace

TEST_CASE("A large private anonymous mapping is far, reads zeros and keeps what is written") {
  char* pages = map(8 * kMiB);
  REQUIRE(far::is_far(pages));
  CHECK(is_zero(pages, 8 * kMiB));
  fill(pages, 8 * kMiB, 1);
  CHECK(holds(pages, 8 * kMiB, 1));
  CHECK(munmap(pages, 8 * kMiB) == 0);
  CHECK(faults(pages));
}

TEST_CASE("Mappings of other kinds stay near") {
  const auto is_near = [](char* pages, size_t size) {
    const bool near = pages != nullptr && !far::is_far(pages);
    if (pages != nullptr) munmap(pages, size);
    return near;
  };
  CHECK(is_near(map(16 * 1024), 16 * 1024));
  CHECK(is_near(map(kMiB, PROT_READ), kMiB));
  CHECK(is_near(map(kMiB, PROT_READ | PROT_WRITE, MAP_STACK), kMiB));
  void* shared = mmap(nullptr, kMiB, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  CHECK(is_near(static_cast<char*>(shared), kMiB));
}

TEST_CASE("Unmapping the ends of a mapping leaves its middle") {
  char* pages = map(4 * kMiB);
  fill(pages, 4 * kMiB, 2);
  REQUIRE(munmap(pages, kMiB) == 0);
  REQUIRE(munmap(pages + 3 * kMiB, kMiB) == 0);
  CHECK(holds(pages + kMiB, 2 * kMiB, 2, kMiB));
  CHECK(faults(pages + kMiB - 1));
  CHECK(faults(pages + 3 * kMiB));
  CHECK(munmap(pages + kMiB, 2 * kMiB) == 0);
  CHECK(munmap(pages + 1, kMiB) == -1);
  CHECK(errno == EINVAL);
}

TEST_CASE("mremap grows, shrinks and moves with the right contents") {
  char* pages = map(2 * kMiB);
  fill(pages, 2 * kMiB, 3);
  auto* grown = static_cast<char*>(mremap(pages, 2 * kMiB, 6 * kMiB, MREMAP_MAYMOVE));
  REQUIRE(grown != MAP_FAILED);
  CHECK(holds(grown, 2 * kMiB, 3));
  CHECK(is_zero(grown + 2 * kMiB, 4 * kMiB));
  auto* shrunk = static_cast<char*>(mremap(grown, 6 * kMiB, kMiB, 0));
  CHECK(shrunk == grown);
  CHECK(holds(shrunk, kMiB, 3));
  CHECK(faults(shrunk + kMiB));
  CHECK(mremap(shrunk, kMiB, 64 * kMiB, 0) == MAP_FAILED);
  CHECK(errno == ENOMEM);
  char* target = map(2 * kMiB);
  auto* moved = static_cast<char*>(mremap(shrunk, kMiB, 2 * kMiB, MREMAP_MAYMOVE | MREMAP_FIXED, target));
  REQUIRE(moved == target);
  CHECK(holds(moved, kMiB, 3));
  CHECK(is_zero(moved + kMiB, kMiB));
  CHECK(munmap(moved, 2 * kMiB) == 0);
}

TEST_CASE("madvise drops contents where it should and nowhere else") {
  char* pages = map(4 * kMiB);
  fill(pages, 4 * kMiB, 4);
  for (int advice : {MADV_WILLNEED, MADV_HUGEPAGE, MADV_NOHUGEPAGE, MADV_COLD, MADV_SEQUENTIAL, MADV_DONTDUMP})
    CHECK(madvise(pages, 4 * kMiB, advice) == 0);
  CHECK(posix_madvise(pages, 4 * kMiB, POSIX_MADV_DONTNEED) == 0);
  CHECK(holds(pages, 4 * kMiB, 4));
  CHECK(madvise(pages + kMiB, kMiB, MADV_DONTNEED) == 0);
  CHECK(is_zero(pages + kMiB, kMiB));
  CHECK(holds(pages, kMiB, 4));
  CHECK(holds(pages + 2 * kMiB, 2 * kMiB, 4, 2 * kMiB));
  CHECK(madvise(pages + 1, kMiB, MADV_DONTNEED) == -1);
  CHECK(errno == EINVAL);
  for (int round = 0; round < 20; ++round) {
    fill(pages, kMiB, 5);
    REQUIRE(madvise(pages, kMiB, MADV_DONTNEED) == 0);
    REQUIRE(is_zero(pages, kMiB));
  }
  munmap(pages, 4 * kMiB);
}

TEST_CASE("mprotect is obeyed and contents survive it") {
  char* pages = map(kMiB);
  fill(pages, kMiB, 6);
  REQUIRE(mprotect(pages, kMiB, PROT_NONE) == 0);
  CHECK(faults(pages + 5000));
  REQUIRE(mprotect(pages, kMiB, PROT_READ) == 0);
  CHECK(holds(pages, kMiB, 6));
  REQUIRE(mprotect(pages, kMiB, PROT_READ | PROT_WRITE) == 0);
  fill(pages, kMiB, 7);
  CHECK(holds(pages, kMiB, 7));
  munmap(pages, kMiB);
}

TEST_CASE("A reservation without access is committed by mprotect or by a fixed mapping") {
  char* pages = map(8 * kMiB, PROT_NONE, MAP_NORESERVE);
  REQUIRE(pages != nullptr);
  CHECK(faults(pages));
  REQUIRE(mprotect(pages, kMiB, PROT_READ | PROT_WRITE) == 0);
  fill(pages, kMiB, 8);
  CHECK(holds(pages, kMiB, 8));
  void* fixed = mmap(pages + kMiB, kMiB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
  REQUIRE(fixed == pages + kMiB);
  CHECK(is_zero(pages + kMiB, kMiB));
  fill(pages + kMiB, kMiB, 9);
  fixed = mmap(pages + kMiB, kMiB, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0);
  CHECK(fixed == pages + kMiB);
  CHECK(faults(pages + kMiB));
  CHECK(holds(pages, kMiB, 8));
  munmap(pages, 8 * kMiB);
}

TEST_CASE("A file mapped over far memory shows the file, and far memory comes back after it") {
  char name[] = "/tmp/tiara-mappings-XXXXXX";
  const int file = mkstemp(name);
  unlink(name);
  far::Block content(kMiB, 10);
  REQUIRE(write(file, content.data(), kMiB) == static_cast<ssize_t>(kMiB));
  char* pages = map(3 * kMiB);
  fill(pages, 3 * kMiB, 11);
  void* mapped = mmap(pages + kMiB, kMiB, PROT_READ, MAP_PRIVATE | MAP_FIXED, file, 0);
  REQUIRE(mapped == pages + kMiB);
  CHECK(holds(pages, kMiB, 11));
  CHECK(holds(pages + kMiB, kMiB, 10));
  CHECK(holds(pages + 2 * kMiB, kMiB, 11, 2 * kMiB));
  mapped = mmap(pages + kMiB, kMiB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
  REQUIRE(mapped == pages + kMiB);
  CHECK(is_zero(pages + kMiB, kMiB));
  fill(pages + kMiB, kMiB, 12);
  CHECK(holds(pages + kMiB, kMiB, 12));
  CHECK(munmap(pages, 3 * kMiB) == 0);
  close(file);
}

TEST_CASE("mlock brings pages here, mincore tells, mlockall is refused") {
  char* pages = map(kMiB);
  fill(pages, kMiB, 13);
  REQUIRE(mlock(pages, kMiB) == 0);
  unsigned char resident[kMiB / far::kPage];
  REQUIRE(mincore(pages, kMiB, resident) == 0);
  for (unsigned char page : resident) CHECK((page & 1) == 1);
  CHECK(holds(pages, kMiB, 13));
  CHECK(munlock(pages, kMiB) == 0);
  CHECK(mlockall(MCL_CURRENT) == -1);
  CHECK(errno == ENOMEM);
  munmap(pages, kMiB);
}

TEST_CASE("Raw system calls for memory go the same way") {
  auto* pages = reinterpret_cast<char*>(
      syscall(SYS_mmap, nullptr, kMiB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  REQUIRE(far::is_far(pages));
  fill(pages, kMiB, 14);
  CHECK(syscall(SYS_madvise, pages, kMiB, MADV_DONTNEED) == 0);
  CHECK(is_zero(pages, kMiB));
  CHECK(syscall(SYS_munmap, pages, kMiB) == 0);
  CHECK(faults(pages));
}
