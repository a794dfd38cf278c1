// How a process on far memory ends when its pages cannot be had: one line, the right exit status, never wrong bytes.
// Argument: the case's name. The store is a fake that begins to fail; the rest is real.
#include <fcntl.h>
#include <sys/wait.h>

#include <string>
#include <string_view>

#include "fault-handler/delivery_signal.h"
#include "runtime/base/exit_status.h"
#include "runtime/residency/far_space.h"
#include "tests/kernel/probe.h"
#include "tests/support/array_page_store.h"

using namespace tiara;
using namespace tiara::testing;
using pagetable::StoreStatus;

namespace {

constexpr uint64_t kPages = 1024;
residency::FarSpace* space;
stats::ProcessStats process_stats;

void on_sigbus(int, siginfo_t* info, void*) {
  const auto all = space->reservation();
  if (fault::handle_sigbus(space->pager().resolver(), all.data(), all.size(), *info) != fault::Verdict::kHandled)
    abort();
}

// Runs `ending` on a filled space in a child process; returns its exit status and what it wrote to stderr.
struct Ending {
  int status;
  std::string line;
};
template <typename Run>
Ending end_of(Run ending) {
  int ends[2];
  EXPECT(pipe(ends) == 0);
  const pid_t child = fork();
  if (child == 0) {
    alarm(200);
    dup2(ends[1], 2);
    Config config;
    config.fault = FaultMode::kSignal;
    config.local.fraction = 0.25;
    auto choice = residency::choose_for_kernel(config);
    if (!choice) _exit(77);
    auto kernel = residency::open_for(*choice);
    if (!kernel) _exit(77);
    static ArrayPageStore store(PageCount{1 << 14});
    strcpy(process_stats.node, "test:");
    constexpr PageCount kMost{1 << 14};
    auto made = residency::FarSpace::create(config, *choice, std::move(*kernel), store, kMost, process_stats);
    if (!made) _exit(77);
    space = *made;
    EXPECT(fault::install_sigbus_handler(on_sigbus).has_value());
    const int watched[] = {space->uffd().descriptor()};
    EXPECT(space->start_threads(config, watched).has_value());
    std::byte* base = space->map(kPages * kPageSize, kPageSize);
    for (uint64_t i = 0; i < kPages; ++i) memset(base + i * kPageSize, static_cast<int>(i % 250 + 1), kPageSize);
    ending(store, base);
    _exit(0);
  }
  close(ends[1]);
  std::string line;
  char buffer[512];
  for (ssize_t got; (got = read(ends[0], buffer, sizeof buffer)) > 0;) line.append(buffer, static_cast<size_t>(got));
  close(ends[0]);
  int status = 0;
  EXPECT(waitpid(child, &status, 0) == child);
  if (WIFEXITED(status) && WEXITSTATUS(status) == 77) skip("userfaultfd cannot be had here");
  EXPECT(WIFEXITED(status));
  return {WEXITSTATUS(status), line};
}

void expect(const Ending& ending, int status, std::string_view part) {
  printf("status %d: %s", ending.status, ending.line.c_str());
  EXPECT(ending.status == status);
  EXPECT(ending.line.find(part) != std::string::npos);
  EXPECT(ending.line.starts_with("tiara: fatal: "));
  EXPECT(ending.line.find("; ") != std::string::npos);             // the cure
  EXPECT(ending.line.find('\n') == ending.line.size() - 1);        // one line
}

void a_lost_node() {
  expect(end_of([](ArrayPageStore& store, std::byte* base) {
           store.fail_from_now_on(StoreStatus::kNodeLost);
           for (uint64_t i = 0; i < kPages; ++i) (void)read_byte(base + i * kPageSize);
         }), kExitUnavailable, "memory node test: lost while fetching page 0");
}

void a_full_node() {
  expect(end_of([](ArrayPageStore& store, std::byte* base) {
           // The newest pages are dirty and here; making room for more needs frames.
           store.fail_from_now_on(StoreStatus::kNodeFull);
           std::byte* more = space->map(kPages * kPageSize, kPageSize);
           for (uint64_t i = 0; i < kPages; ++i) write_byte(more + i * kPageSize, 1);
           (void)base;
         }), kExitNodeFull, "memory node test: has no frame left");
}

void a_nonsensical_node() {
  expect(end_of([](ArrayPageStore& store, std::byte* base) {
           store.fail_from_now_on(StoreStatus::kCorrupt);
           for (uint64_t i = 0; i < kPages; ++i) (void)read_byte(base + i * kPageSize);
         }), kExitOsError, "gave an impossible answer");
}

void a_flipped_bit() {
  expect(end_of([](ArrayPageStore& store, std::byte* base) {
           store.frame(3)[1234] ^= std::byte{1};
           for (uint64_t i = 0; i < kPages; ++i) (void)read_byte(base + i * kPageSize);
         }), kExitOsError, "page 3 from memory node test: is not what was stored there");
}

void a_forgotten_page() {
  expect(end_of([](ArrayPageStore& store, std::byte* base) {
           EXPECT(store.discard({PageNumber{3}, PageCount{1}}) == StoreStatus::kOk);
           for (uint64_t i = 0; i < kPages; ++i) (void)read_byte(base + i * kPageSize);
         }), kExitOsError, "page 3 from memory node test: is not what was stored there");
}

void a_closed_descriptor() {
  expect(end_of([](ArrayPageStore&, std::byte*) {
           close(space->uffd().descriptor());
           sleep(60);  // the keeper looks every 20 ms
         }), kExitOsError, "closed or replaced a descriptor");
}

void a_replaced_descriptor() {
  expect(end_of([](ArrayPageStore&, std::byte*) {
           dup2(open("/dev/null", O_RDONLY), space->uffd().descriptor());
           sleep(60);
         }), kExitOsError, "closed or replaced a descriptor");
}

void a_page_dropped_by_a_raw_call() {
  expect(end_of([](ArrayPageStore&, std::byte* base) {
           std::byte* last = base + (kPages - 1) * kPageSize;
           EXPECT(os::raw_madvise(last, kPageSize, 4 /* MADV_DONTNEED */) == 0);
           (void)read_byte(last);
         }), kExitOsError, "vanished that nobody had evicted");
}

}  // namespace

int main(int, char** argv) {
  alarm(240);
  const std::string_view name = argv[1] != nullptr ? argv[1] : "";
#define CASE(function) if (name == #function) return function(), 0
  CASE(a_lost_node);
  CASE(a_full_node);
  CASE(a_nonsensical_node);
  CASE(a_flipped_bit);
  CASE(a_forgotten_page);
  CASE(a_closed_descriptor);
  CASE(a_replaced_descriptor);
  CASE(a_page_dropped_by_a_raw_call);
  return 2;
}
