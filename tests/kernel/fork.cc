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
FarMemory* memory;

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

void start(const char* mode, LocalBudget local) {
  Config config;
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
                 [] { memory->after_fork_in_child(); });
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
  for (int i = 0; i < 20; ++i) EXPECT(status_of_child([] {}) == 0);
  is_over = true;
  writer.join();
}

}  // namespace

int main(int argc, char** argv) {
  alarm(100);
  const std::string what = argc > 2 ? argv[2] : "";
  start(argc > 1 ? argv[1] : "signal", LocalBudget{std::nullopt, what == "free" ? 1.0 : 0.25});
  if (what == "free") nothing_away_forks_freely();
  else if (what == "away") away_pages_end_the_child_and_nothing_else_does();
  else a_fork_under_load_keeps_the_parent_whole();
  fflush(stdout);
  _exit(0);
}
