// Far pages that the kernel's own swap takes: how they look to each primitive, and that the pager loses none.
//
//   kernel_swapped CASE
//   kernel_swapped torture PROGRAM [ARGUMENT...]   runs PROGRAM while its memory is paged out again and again
//
// Swap is a small zram device of our own, on only while the case runs: the case is a child, so that swap is off and the
// device gone however the case ends. Exits 77 with the reason where that cannot be had.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <fstream>
#include <random>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "apps/common/zram_swap.h"
#include "fault-handler/page_mapper.h"
#include "fault-handler/pagemap.h"
#include "tests/kernel/probe.h"

using namespace tiara;
using namespace tiara::testing;
using fault::Backing;
using fault::Delivery;
using fault::Holes;
using fault::IoStatus;
using fault::Pagemap;
using fault::Protection;
using fault::StagingPlace;
using fault::StagingSlot;
using fault::Userfaultfd;

namespace {

// Room for the pages of a case and for whatever the kernel pages out of others meanwhile.
constexpr Bytes kSwapSize{128 * kMiB};
constexpr int kPageOut = 21;  // MADV_PAGEOUT, Linux 5.4
constexpr uint64_t kFeatures = UFFD_FEATURE_SIGBUS | UFFD_FEATURE_MOVE | UFFD_FEATURE_PAGEFAULT_FLAG_WP;
constexpr uint32_t kPages = 64;

alignas(kPageSize) std::byte pattern[kPageSize];

uint8_t value_of(uint64_t page) { return static_cast<uint8_t>('A' + page); }

struct Ground {
  Userfaultfd uffd = open_or_skip(Delivery::kSignal, kFeatures);
  Pagemap pagemap = Pagemap::open();
  std::span<std::byte> far = make_range(kPages);
  std::span<std::byte> staging = make_range(kPages);
  fault::UffdPageMapper mapper{uffd, pagemap, far.data(), staging.data(), kPages};

  Ground() {
    if (pagemap.descriptor() < 0) skip("/proc/self/pagemap cannot be read");
    EXPECT(uffd.register_range(far, true).has_value());
    EXPECT(uffd.register_range(staging, true).has_value());
  }
  void fill(uint64_t page) {
    memset(pattern, value_of(page), kPageSize);
    EXPECT(uffd.copy(page_of(far, page), pattern, kPageSize).status == IoStatus::kDone);
  }
  // Until the kernel has taken all of them; it leaves a page that it finds in use at that moment.
  void page_out(uint64_t first, uint64_t count) {
    for (int tries = 0; tries < 1000; ++tries) {
      EXPECT(madvise(page_of(far, first), count * kPageSize, kPageOut) == 0);
      bool are_out = true;
      for (uint64_t i = 0; i < count; ++i)
        are_out &= pagemap.backing(page_of(far, first + i)) == Backing::kSwapped;
      if (are_out) return;
      sched_yield();
    }
    skip("the kernel did not page out what it was asked to");
  }
};

void mincore_says_no_of_a_swapped_page_and_pagemap_tells() {
  Ground ground;
  ground.fill(0);
  ground.fill(1);
  ground.page_out(1, 1);
  EXPECT(ground.pagemap.backing(page_of(ground.far, 0)) == Backing::kPresent);
  EXPECT(ground.pagemap.backing(page_of(ground.far, 1)) == Backing::kSwapped);
  EXPECT(ground.pagemap.backing(page_of(ground.far, 2)) == Backing::kNothing);
  unsigned char here = 0;
  EXPECT(mincore(page_of(ground.far, 1), kPageSize, &here) == 0);
  if ((here & 1) != 0) skip("the kernel kept the page in its swap cache, where mincore finds it");
  EXPECT(ground.mapper.is_mapped(PageNumber{1}) && !ground.mapper.is_mapped(PageNumber{2}));
  // The access is the kernel's to serve: no SIGBUS.
  EXPECT(!raises_sigbus([&] { EXPECT(read_byte(page_of(ground.far, 1)) == value_of(1)); }));
}

void a_swapped_page_is_there_for_every_call() {
  Ground ground;
  for (uint64_t page = 0; page < 8; ++page) ground.fill(page);
  ground.page_out(0, 4);
  EXPECT(ground.uffd.copy(page_of(ground.far, 0), pattern, kPageSize).status == IoStatus::kExists);
  // Swapped, present and absent pages leave by one call; the swapped ones stay swapped.
  const auto moved = ground.mapper.move_out(PageNumber{0}, 9, {StagingSlot{0}, 0});
  EXPECT(moved.status == IoStatus::kDone && moved.done == 9);
  for (uint64_t page = 0; page < 8; ++page) {
    EXPECT(ground.pagemap.backing(page_of(ground.far, page)) == Backing::kNothing);
    EXPECT(read_byte(page_of(ground.staging, page)) == value_of(page));
  }
}

void a_swapped_page_can_be_frozen_and_thawed() {
  Ground ground;
  for (uint64_t page = 0; page < 4; ++page) ground.fill(page);
  ground.page_out(0, 2);
  EXPECT(ground.mapper.freeze(PageNumber{0}, 4) == IoStatus::kDone);
  for (uint64_t page = 0; page < 4; ++page) {
    EXPECT(read_byte(ground.mapper.frozen_bytes(PageNumber{page})) == value_of(page));
    EXPECT(raises_sigbus([&] { write_byte(page_of(ground.far, page), 1); }));
  }
  ground.page_out(0, 4);  // frozen pages too
  ground.mapper.thaw(PageNumber{0}, 4);
  for (uint64_t page = 0; page < 4; ++page) {
    EXPECT(!raises_sigbus([&] { write_byte(page_of(ground.far, page), 1); }));
    EXPECT(read_byte(page_of(ground.far, page) + 1) == value_of(page));
  }
}

// The kernel's own answer is wrong about once in ten thousand of these moves (Linux 6.18): EEXIST of a page that it has
// moved.
void a_move_is_judged_right_while_the_kernel_swaps() {
  constexpr int kMoves = 60'000;
  Ground ground;
  for (uint64_t page = 0; page < kPages; ++page) ground.fill(page);
  std::atomic<bool> is_over{false};
  std::thread swapper([&] {
    while (!is_over.load()) {
      (void)madvise(ground.far.data(), ground.far.size(), kPageOut);
      (void)madvise(ground.staging.data(), ground.staging.size(), kPageOut);
    }
  });
  std::mt19937 random(1);
  uint64_t staged = 0;
  for (int i = 0; i < kMoves; ++i) {
    const uint32_t at = random() % kPages;
    const bool is_staged = (staged >> at & 1) != 0;
    const StagingPlace place{StagingSlot{0}, at};
    const PageNumber page{at};
    const fault::PagesResult moved =
        is_staged ? ground.mapper.take_back(page, 1, place) : ground.mapper.move_out(page, 1, place);
    // Busy: the kernel held the page all the time.
    EXPECT(moved.status == IoStatus::kDone || moved.status == IoStatus::kBusy);
    staged ^= uint64_t{moved.done} << at;
    const bool is_now_staged = (staged >> at & 1) != 0;
    const std::byte* const here = page_of(is_now_staged ? ground.staging : ground.far, at);
    const std::byte* const gone = page_of(is_now_staged ? ground.far : ground.staging, at);
    EXPECT(ground.pagemap.has_bytes(here) && ground.pagemap.backing(gone) == Backing::kNothing);
    if (random() % 4 == 0) EXPECT(read_byte(here) == value_of(at));
  }
  is_over.store(true);
  swapper.join();
}

// --- the parent: swap, and the memory of a whole program paged out from outside ---

std::atomic<pid_t> running{0};

void end_child(int) {
  if (const pid_t child = running.load(); child > 0) kill(child, SIGKILL);
}

// Writable anonymous memory of at least a megabyte.
std::vector<iovec> memory_of(pid_t process) {
  std::ifstream maps("/proc/" + std::to_string(process) + "/maps");
  std::vector<iovec> found;
  for (std::string line; std::getline(maps, line);) {
    uintptr_t begin = 0, end = 0;
    unsigned long inode = 0;
    char permissions[8] = {};
    if (sscanf(line.c_str(), "%lx-%lx %7s %*x %*s %lu", &begin, &end, permissions, &inode) != 4) continue;
    if (permissions[1] == 'w' && inode == 0 && end - begin >= kMiB)
      found.push_back({reinterpret_cast<void*>(begin), end - begin});
  }
  return found;
}

int wait_for(pid_t child, bool pages_out) {
  const int handle = static_cast<int>(syscall(SYS_pidfd_open, child, 0));
  uint64_t rounds = 0;
  int status = 0;
  for (;;) {
    const pid_t ended = waitpid(child, &status, pages_out ? WNOHANG : 0);
    if (ended == child || (ended < 0 && errno != EINTR)) break;
    if (ended != 0) continue;
    for (const iovec& range : memory_of(child)) {
      if (syscall(SYS_process_madvise, handle, &range, 1, kPageOut, 0) > 0) ++rounds;
    }
    sched_yield();
  }
  close(handle);
  running.store(0);
  if (pages_out) printf("ranges paged out: %lu\n", rounds);
  if (pages_out && rounds == 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0) {
    printf("skipped: this kernel does not page out another process's memory when asked\n");
    return 77;
  }
  if (WIFSIGNALED(status)) fprintf(stderr, "the case was killed by signal %d\n", WTERMSIG(status));
  return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

struct Case {
  std::string_view name;
  void (*run)();
};
#define CASE(name) Case{#name, name}
constexpr Case kCases[] = {
    CASE(mincore_says_no_of_a_swapped_page_and_pagemap_tells),
    CASE(a_swapped_page_is_there_for_every_call),
    CASE(a_swapped_page_can_be_frozen_and_thawed),
    CASE(a_move_is_judged_right_while_the_kernel_swaps),
};

[[noreturn]] void run_child(char** arguments) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (std::string_view(arguments[0]) == "torture") {
    execv(arguments[1], arguments + 1);
    _exit(127);
  }
  for (const Case& one : kCases) {
    if (one.name != arguments[0]) continue;
    catch_sigbus();
    one.run();
    exit(0);
  }
  fprintf(stderr, "no such case: %s\n", arguments[0]);
  exit(2);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) return 2;
  if (const std::string why = apps::why_no_zram(); !why.empty()) skip(why.c_str());
  auto swap = apps::ZramSwap::create(kSwapSize);
  if (!swap) skip(swap.error().message.c_str());
  // Limits nothing: its name lets a later run take the device away if this process is killed before it can.
  auto name = apps::MemoryCgroup::create(Bytes{1024 * kGiB}, "zram" + std::to_string((*swap)->device_number()));
  struct sigaction action {};
  action.sa_handler = end_child;
  for (const int signal : {SIGTERM, SIGINT, SIGHUP, SIGALRM}) sigaction(signal, &action, nullptr);
  fflush(stdout);
  const pid_t child = fork();
  if (child == 0) run_child(argv + 1);
  if (child < 0) return perror("fork"), 1;
  running.store(child);
  alarm(240);
  return wait_for(child, std::string_view(argv[1]) == "torture");
}
