#include <atomic>
#include <chrono>
#include <catch2/catch.hpp>
#include <csignal>
#include <optional>
#include <sched.h>
#include <set>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>
#include <vector>

#include "fault-handler/signal_stacks.h"

using namespace tiara;
using fault::SignalStacks;

namespace {

void* current_stack() {
  stack_t current{};
  sigaltstack(nullptr, &current);
  return (current.ss_flags & SS_DISABLE) != 0 ? nullptr : current.ss_sp;
}

void leave_stack() {
  stack_t off{};
  off.ss_flags = SS_DISABLE;
  sigaltstack(&off, nullptr);
}

// Everybody arrives, then everybody goes on: as nearly at the same moment as threads can.
class Meeting {
 public:
  explicit Meeting(uint32_t parties) : parties_(parties) {}
  void arrive() {
    const uint32_t round = round_.load();
    if (arrived_.fetch_add(1) + 1 == parties_) {
      arrived_.store(0);
      round_.fetch_add(1);
      return;
    }
    while (round_.load() == round) sched_yield();
  }

 private:
  const uint32_t parties_;
  std::atomic<uint32_t> arrived_{0};
  std::atomic<uint32_t> round_{0};
};

}  // namespace

TEST_CASE("threads that start at the same moment have stacks of their own") {
  constexpr uint32_t kThreads = 3;
  constexpr int kRounds = 5000;  // or as many as a busy machine manages in a few seconds
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(5);
  std::atomic<bool> is_over{false};
  std::optional<SignalStacks> stacks;
  void* seen[kThreads] = {};
  int shared_rounds = 0;
  Meeting meeting(kThreads);
  std::vector<std::thread> threads;
  for (uint32_t i = 0; i < kThreads; ++i)
    threads.emplace_back([&, i] {
      for (int round = 0; round < kRounds && !is_over; ++round) {
        if (i == 0) stacks.emplace(*SignalStacks::create());
        meeting.arrive();
        stacks->enter_thread();
        seen[i] = current_stack();
        leave_stack();
        meeting.arrive();
        if (i == 0 && std::set<void*>(seen, seen + kThreads).size() != kThreads) ++shared_rounds;
        if (i == 0) {
          stacks.reset();
          is_over = std::chrono::steady_clock::now() >= end;
        }
        meeting.arrive();
      }
    });
  for (auto& thread : threads) thread.join();
  CHECK(shared_rounds == 0);
}

TEST_CASE("the stack of a dead thread is taken over, that of a live one is not") {
  SignalStacks stacks = *SignalStacks::create();
  void* first = nullptr;
  pid_t dead = 0;
  std::thread([&] {
    stacks.enter_thread();
    first = current_stack();
    dead = gettid();
  }).join();
  REQUIRE(first != nullptr);
  // join() returns a moment before the kernel has let go of the thread.
  while (tgkill(getpid(), dead, 0) == 0) sched_yield();
  void* second = nullptr;
  void* third = nullptr;
  std::thread([&] {
    stacks.enter_thread();
    second = current_stack();
    std::thread([&] {
      stacks.enter_thread();
      third = current_stack();
    }).join();
  }).join();
  CHECK(second == first);
  CHECK(third != nullptr);
  CHECK(third != second);
}

#ifndef __SANITIZE_THREAD__  // which has no threads after a fork
TEST_CASE("a forked child's thread keeps its stack to itself") {
  SignalStacks stacks = *SignalStacks::create();
  int status = 0;
  std::thread([&] {
    stacks.enter_thread();
    const pid_t child = fork();
    if (child == 0) {
      stacks.after_fork_in_child();
      void* const mine = current_stack();
      void* others = nullptr;
      std::thread([&] {
        stacks.enter_thread();
        others = current_stack();
      }).join();
      _exit(mine != nullptr && others != nullptr && mine != others ? 0 : 1);
    }
    waitpid(child, &status, 0);
  }).join();
  CHECK(status == 0);
}
#endif
