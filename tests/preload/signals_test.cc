// Signals of a program on far memory.
#include <catch2/catch.hpp>
#include <atomic>
#include <cerrno>
#include <csetjmp>
#include <csignal>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <unistd.h>
#include <vector>

#include "tests/preload/far.h"

namespace {

std::vector<char>* touched = nullptr;
volatile sig_atomic_t handled = 0;

void touch_all(int) {
  for (size_t i = 0; i < touched->size(); i += far::kPage) ++(*touched)[i];
  handled = handled + 1;
}

sigjmp_buf jump;
void* fault_address = nullptr;
void on_bus(int, siginfo_t* info, void*) {
  fault_address = info->si_addr;
  siglongjmp(jump, 1);
}

// A page of a file behind the file's end: the kernel's own SIGBUS.
char* beyond_end_of_file() {
  char name[] = "/tmp/tiara-signals-XXXXXX";
  const int file = mkstemp(name);
  unlink(name);
  void* pages = mmap(nullptr, far::kPage, PROT_READ, MAP_SHARED, file, 0);
  close(file);
  return static_cast<char*>(pages);
}

}  // namespace

TEST_CASE("Handlers that run at any moment use far memory") {
  std::vector<char> mine(4 << 20);
  touched = new std::vector<char>(2 << 20);
  struct sigaction action {};
  action.sa_handler = touch_all;
  sigfillset(&action.sa_mask);
  action.sa_flags = SA_RESTART;
  sigaction(SIGALRM, &action, nullptr);
  const itimerval every{{0, 2000}, {0, 2000}};
  setitimer(ITIMER_REAL, &every, nullptr);
  while (handled < 60)
    for (size_t i = 0; i < mine.size(); i += far::kPage) ++mine[i];
  const itimerval off{};
  setitimer(ITIMER_REAL, &off, nullptr);
  CHECK((*touched)[0] == static_cast<char>(handled));
}

TEST_CASE("SIGBUS that is not ours reaches the program's handler") {
  struct sigaction action {}, before {}, again {};
  action.sa_sigaction = on_bus;
  action.sa_flags = SA_SIGINFO;
  sigaddset(&action.sa_mask, SIGUSR1);
  REQUIRE(sigaction(SIGBUS, &action, &before) == 0);
  REQUIRE(sigaction(SIGBUS, nullptr, &again) == 0);
  CHECK(again.sa_sigaction == on_bus);
  CHECK(sigismember(&again.sa_mask, SIGUSR1) == 1);
  char* bad = beyond_end_of_file();
  for (int round = 0; round < 3; ++round) {
    fault_address = nullptr;
    if (sigsetjmp(jump, 1) == 0) (void)*static_cast<volatile char*>(bad);
    CHECK(fault_address == bad);
  }
  std::vector<char> mine(10 << 20);
  for (size_t i = 0; i < mine.size(); i += far::kPage) ++mine[i];
  CHECK(sigaction(SIGBUS, &before, nullptr) == 0);
  CHECK(signal(SIGBUS, SIG_DFL) == before.sa_handler);
  munmap(bad, far::kPage);
}

TEST_CASE("A mask that blocks everything does not block far memory") {
  sigset_t all, old, now;
  sigfillset(&all);
  REQUIRE(sigprocmask(SIG_BLOCK, &all, &old) == 0);
  std::vector<char> mine(12 << 20);
  for (size_t i = 0; i < mine.size(); i += far::kPage) ++mine[i];
  for (size_t i = 0; i < mine.size(); i += far::kPage) REQUIRE(mine[i] == 1);
  REQUIRE(pthread_sigmask(SIG_SETMASK, nullptr, &now) == 0);
  CHECK(sigismember(&now, SIGTERM) == 1);
  REQUIRE(sigprocmask(SIG_SETMASK, &old, nullptr) == 0);
}

TEST_CASE("The program's alternate stack is remembered, checked and reported") {
  far::Block room(64 * 1024);
  stack_t wanted{}, seen{};
  wanted.ss_sp = room.data();
  wanted.ss_size = room.size();
  REQUIRE(sigaltstack(&wanted, nullptr) == 0);
  REQUIRE(sigaltstack(nullptr, &seen) == 0);
  CHECK(seen.ss_sp == wanted.ss_sp);
  CHECK(seen.ss_size == wanted.ss_size);
  wanted.ss_size = 10;
  CHECK(sigaltstack(&wanted, nullptr) == -1);
  CHECK(errno == ENOMEM);
  struct sigaction action {};
  action.sa_handler = touch_all;
  action.sa_flags = SA_ONSTACK;
  sigaction(SIGUSR1, &action, nullptr);
  if (touched == nullptr) touched = new std::vector<char>(2 << 20);
  handled = 0;
  for (int i = 0; i < 20; ++i) raise(SIGUSR1);
  CHECK(handled == 20);
  wanted.ss_flags = SS_DISABLE;
  REQUIRE(sigaltstack(&wanted, nullptr) == 0);
  REQUIRE(sigaltstack(nullptr, &seen) == 0);
  CHECK(seen.ss_flags == SS_DISABLE);
}

TEST_CASE("Leaving a waiting call by siglongjmp gives its pins back") {
  int ends[2];
  REQUIRE(pipe(ends) == 0);
  struct sigaction action {};
  action.sa_handler = [](int) { siglongjmp(jump, 1); };
  action.sa_flags = SA_NODEFER;
  sigaction(SIGALRM, &action, nullptr);
  far::Block buffer(5000);
  for (int i = 0; i < 100; ++i) {
    if (sigsetjmp(jump, 1) == 0) {
      const itimerval soon{{0, 0}, {0, 1000}};
      setitimer(ITIMER_REAL, &soon, nullptr);
      (void)!read(ends[0], buffer.data(), buffer.size());
    }
  }
  signal(SIGALRM, SIG_DFL);
  REQUIRE(write(ends[1], "abc", 3) == 3);
  CHECK(read(ends[0], buffer.data(), buffer.size()) == 3);
  close(ends[0]);
  close(ends[1]);
}
