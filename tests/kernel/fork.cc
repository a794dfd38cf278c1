// Forks of a process on far memory. Argument: signal or message.
#include <pthread.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include <cstring>
#include <string>
#include <thread>

#include "fault-handler/delivery_signal.h"
#include "runtime/base/exit_status.h"
#include "runtime/base/stats.h"
#include "runtime/residency/far_memory.h"
#include "tests/kernel/probe.h"

using namespace tiara;
using namespace tiara::testing;

namespace {

constexpr size_t kPages = 2048;
stats::ProcessStats process_stats;
stats::ProcessStats child_stats;
FarMemory* memory;
bool is_far_child = false;
stats::ProcessStats& own_stats() { return child_stats; }

void on_sigbus(int, siginfo_t* info, void*) {
  if (memory->handle_sigbus(*info) != FaultVerdict::kHandled) abort();
}

// Runs `in_child` in a forked child and returns its exit status, -1 if a signal ended it.
template <typename Run>
int status_of_child(Run in_child) {
  const pid_t child = fork();
  if (child == 0) {
    alarm(20);
    in_child();
    _exit(0);
  }
  int status = 0;
  EXPECT(waitpid(child, &status, 0) == child);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

std::byte* page(std::byte* base, size_t index) { return base + index * kPageSize; }

void start(const char* mode, ForkMode fork_mode, LocalBudget local) {
  Config config;
  config.fork = fork_mode;
  if (const char* node = getenv("TIARA_TEST_NODE")) config.node = node;
  config.fault = strcmp(mode, "message") == 0  ? FaultMode::kMessage
                 : strcmp(mode, "hybrid") == 0 ? FaultMode::kHybrid
                                               : FaultMode::kSignal;
  config.local = local;
  config.pool = Bytes{64 * kMiB};
  EXPECT(fault::install_sigbus_handler(on_sigbus).has_value());
  auto started = FarMemory::start(config, process_stats);
  if (!started) skip(started.error().message.c_str());
  memory = *started;
  pthread_atfork([] { memory->before_fork(); }, [] { memory->after_fork_in_parent(); },
                 [] { is_far_child = memory->after_fork_in_child(own_stats); });
}

void nothing_away_forks_freely() {
  std::byte* base = memory->map(64 * kPageSize, kPageSize);
  memset(base, 7, 32 * kPageSize);
  EXPECT(status_of_child([&] {
    for (size_t i = 0; i < 32; ++i) EXPECT(read_byte(page(base, i)) == 7);
    for (size_t i = 32; i < 64; ++i) EXPECT(read_byte(page(base, i)) == 0);
    write_byte(page(base, 1), 9);   // its own copy
    write_byte(page(base, 40), 9);
    EXPECT(memory->map(kPageSize, kPageSize) == nullptr);  // new memory of a child is near
    memory->discard({page(base, 2), kPageSize});
    EXPECT(read_byte(page(base, 2)) == 0);
    memory->unmap({page(base, 0), kPageSize});
    // And its own children.
    EXPECT(status_of_child([&] { EXPECT(read_byte(page(base, 3)) == 7); }) == 0);
  }) == 0);
  EXPECT(read_byte(page(base, 1)) == 7 && read_byte(page(base, 2)) == 7 && read_byte(page(base, 40)) == 0);
  EXPECT(process_stats.counters.forks_near.load() == 1);
}

void away_pages_end_the_child_and_nothing_else_does() {
  std::byte* base = memory->map((kPages + 64) * kPageSize, kPageSize);
  for (size_t i = 0; i < kPages; ++i) memset(page(base, i), static_cast<int>(i % 251 + 1), kPageSize);
  EXPECT(process_stats.counters.remote_pages.load() > 0);
  // The newest pages are here; the first ones are long away.
  EXPECT(status_of_child([&] { EXPECT(read_byte(page(base, kPages - 1)) == (kPages - 1) % 251 + 1); }) == 0);
  EXPECT(status_of_child([&] { EXPECT(read_byte(page(base, kPages + 3)) == 0); }) == 0);  // untouched
  EXPECT(status_of_child([&] { (void)read_byte(page(base, 0)); }) == kExitForked);
  EXPECT(status_of_child([&] { write_byte(page(base, 1), 1); }) == kExitForked);
  // What the child drops is its own affair: zeros, not the end.
  EXPECT(status_of_child([&] {
    memory->discard({page(base, 0), 16 * kPageSize});
    EXPECT(read_byte(page(base, 5)) == 0);
  }) == 0);
  // System calls: pinned as the preload layer does; a pin on a page that is away ends the child too.
  int ends[2];
  EXPECT(pipe(ends) == 0);
  EXPECT(status_of_child([&] {
    const FarMemory::Pin pin(page(base, kPages + 8), 100);
    EXPECT(write(ends[1], page(base, kPages + 8), 100) == 100);
  }) == 0);
  EXPECT(status_of_child([&] {
    const FarMemory::Pin pin(page(base, 2), 100);
    (void)!write(ends[1], page(base, 2), 100);
  }) == kExitForked);
  EXPECT(status_of_child([&] {  // a grandchild
    EXPECT(status_of_child([&] { (void)read_byte(page(base, 0)); }) == kExitForked);
    EXPECT(status_of_child([&] { EXPECT(read_byte(page(base, kPages - 1)) == (kPages - 1) % 251 + 1); }) == 0);
  }) == 0);
  // The parent lost nothing, and pages shared with children by copy-on-write still leave.
  for (size_t i = 0; i < kPages; ++i) EXPECT(read_byte(page(base, i) + 77) == i % 251 + 1);
  EXPECT(process_stats.counters.forks_away.load() > 0);
}

uint8_t value_of(size_t index) { return static_cast<uint8_t>(index % 251 + 1); }

void expect_values(std::byte* base, size_t from, size_t to, uint8_t added) {
  for (size_t i = from; i < to; ++i)
    EXPECT(read_byte(page(base, i) + 77) == static_cast<uint8_t>(value_of(i) + added));
}

// Children, their children, and the parent each have the same pages and change them, at the same time.
void a_child_has_its_own_copy_of_what_is_away() {
  std::byte* base = memory->map((kPages + 64) * kPageSize, kPageSize);
  for (size_t i = 0; i < kPages; ++i) memset(page(base, i), value_of(i), kPageSize);
  EXPECT(process_stats.counters.remote_pages.load() > 0);
  int ready[2], go[2];
  EXPECT(pipe(ready) == 0 && pipe(go) == 0);
  const pid_t child = fork();
  if (child == 0) {
    alarm(60);
    EXPECT(is_far_child);
    char byte = 0;
    EXPECT(write(ready[1], &byte, 1) == 1 && read(go[0], &byte, 1) == 1);
    expect_values(base, 0, kPages, 0);
    EXPECT(read_byte(page(base, kPages + 3)) == 0);
    for (size_t i = 0; i < kPages; i += 2) memset(page(base, i), value_of(i) + 1, kPageSize);
    memory->discard({page(base, 64), 64 * kPageSize});
    EXPECT(child_stats.counters.remote_pages.load() > 0);  // it evicts by itself
    std::byte* more = memory->map(512 * kPageSize, kPageSize);
    EXPECT(more != nullptr);
    for (size_t i = 0; i < 512; ++i) memset(page(more, i), 9, kPageSize);
    EXPECT(status_of_child([&] {
      EXPECT(is_far_child);
      for (size_t i = 0; i < 512; ++i) EXPECT(read_byte(page(more, i)) == 9);
      for (size_t i = 0; i < kPages; i += 2)
        if (i < 64 || i >= 128) EXPECT(read_byte(page(base, i)) == static_cast<uint8_t>(value_of(i) + 1));
      memset(page(more, 3), 1, kPageSize);
    }) == 0);
    for (size_t i = 64; i < 128; ++i) EXPECT(read_byte(page(base, i)) == 0);
    for (size_t i = 1; i < kPages; i += 2)
      if (i < 64 || i >= 128) EXPECT(read_byte(page(base, i) + 77) == value_of(i));
    EXPECT(read_byte(page(more, 3)) == 9);
    _exit(0);
  }
  char byte = 0;
  EXPECT(read(ready[0], &byte, 1) == 1);
  for (size_t i = 0; i < kPages; ++i) memset(page(base, i), value_of(i) + 3, kPageSize);
  EXPECT(write(go[1], &byte, 1) == 1);
  for (int round = 0; round < 3; ++round) expect_values(base, 0, kPages, 3);
  int status = 0;
  EXPECT(waitpid(child, &status, 0) == child);
  EXPECT(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  expect_values(base, 0, kPages, 3);
  EXPECT(process_stats.counters.forks_cloned.load() == 1);
}

// A daemon: the parent ends at once, and the pages go on.
void a_daemon_keeps_its_pages() {
  std::byte* base = memory->map(kPages * kPageSize, kPageSize);
  for (size_t i = 0; i < kPages; ++i) memset(page(base, i), value_of(i), kPageSize);
  int result[2];
  EXPECT(pipe(result) == 0);
  EXPECT(status_of_child([&] {
    if (fork() != 0) _exit(0);
    alarm(60);
    for (int round = 0; round < 2; ++round) {
      expect_values(base, 0, kPages, 0);
      for (size_t i = 0; i < kPages; ++i) memset(page(base, i), value_of(i), kPageSize);
    }
    const char byte = 1;
    EXPECT(write(result[1], &byte, 1) == 1);
  }) == 0);
  close(result[1]);
  char byte = 0;
  EXPECT(read(result[0], &byte, 1) == 1 && byte == 1);
}

void a_fork_under_load_keeps_the_parent_whole() {
  std::byte* base = memory->map(kPages * kPageSize, kPageSize);
  std::atomic<bool> is_over{false};
  std::thread writer([&] {
    memory->enter_thread();
    uint8_t round = 1;
    for (; !is_over; ++round)
      for (size_t i = 0; i < kPages; ++i) {
        const uint8_t before = read_byte(page(base, i));
        EXPECT(round == 1 ? before == 0 : before == static_cast<uint8_t>(round - 1));
        write_byte(page(base, i), round);
      }
  });
  // The writer may stand in any page, and at any point of a fault: whatever a child finds is the round, or the one
  // before it, or nothing yet.
  for (int i = 0; i < 20; ++i)
    EXPECT(status_of_child([&] {
      if (!is_far_child) return;
      const uint8_t newest = read_byte(page(base, 0));
      for (size_t n = 0; n < kPages; n += 3) {
        const uint8_t found = read_byte(page(base, n));
        EXPECT(found == newest || found == static_cast<uint8_t>(newest - 1));
        write_byte(page(base, n), 200);
      }
    }) == 0);
  is_over = true;
  writer.join();
}

}  // namespace

int main(int argc, char** argv) {
  alarm(500);
  const std::string what = argc > 2 ? argv[2] : "";
  const bool is_cloned = what == "copies" || what == "daemon" || what == "cloned load";
  start(argc > 1 ? argv[1] : "signal", is_cloned ? ForkMode::kClone : ForkMode::kNear,
        LocalBudget{std::nullopt, what == "free" ? 1.0 : 0.25});
  if (what == "free") nothing_away_forks_freely();
  else if (what == "away") away_pages_end_the_child_and_nothing_else_does();
  else if (what == "copies") a_child_has_its_own_copy_of_what_is_away();
  else if (what == "daemon") a_daemon_keeps_its_pages();
  else a_fork_under_load_keeps_the_parent_whole();
  fflush(stdout);
  _exit(0);
}
