// The userfaultfd primitives the pager stands on, one by one, against this kernel. Argument: the case's name.
// docs/life-of-a-miss.md says where each is used; exits 77 with the reason where the kernel lacks one.
#include <fcntl.h>
#include <poll.h>
#include <string_view>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>
#include <vector>

#include "fault-handler/page_mapper.h"
#include "tests/kernel/probe.h"

using namespace tiara;
using namespace tiara::testing;
using fault::Delivery;
using fault::Holes;
using fault::IoStatus;
using fault::Userfaultfd;

namespace {

alignas(kPageSize) std::byte pattern[4 * kPageSize];

// Two ranges of eight pages on one descriptor: "far" and "staging".
struct Pair {
  Userfaultfd uffd;
  std::span<std::byte> far = make_range(8);
  std::span<std::byte> staging = make_range(8);
  explicit Pair(uint64_t features, Delivery delivery = Delivery::kSignal, bool write_protect = true)
      : uffd(open_or_skip(delivery, features)) {
    EXPECT(uffd.register_range(far, write_protect).has_value());
    EXPECT(uffd.register_range(staging, write_protect).has_value());
  }
  // The first pages of the far range to the same places of staging.
  fault::IoResult move_out(size_t pages, Holes holes = Holes::kAllowed) {
    return uffd.move(page_of(staging, 0), page_of(far, 0), pages * kPageSize, holes);
  }
  void fill(size_t page, uint8_t value) {
    memset(pattern, value, kPageSize);
    EXPECT(uffd.copy(page_of(far, page), pattern, kPageSize).status == IoStatus::kDone);
  }
};

constexpr uint64_t kMoveFeatures = UFFD_FEATURE_SIGBUS | UFFD_FEATURE_MOVE | UFFD_FEATURE_PAGEFAULT_FLAG_WP;

void signal_delivery_raises_sigbus_with_the_address() {
  static void* seen_address;
  static sigjmp_buf back;
  Pair pair(UFFD_FEATURE_SIGBUS, Delivery::kSignal, false);
  struct sigaction action {};
  action.sa_flags = SA_SIGINFO | SA_NODEFER;
  action.sa_sigaction = [](int, siginfo_t* info, void*) {
    seen_address = info->si_addr;
    siglongjmp(back, info->si_code == BUS_ADRERR ? 1 : 2);
  };
  sigaction(SIGBUS, &action, nullptr);
  const int code = sigsetjmp(back, 1);
  if (code == 0) (void)read_byte(page_of(pair.far, 3) + 123);
  EXPECT(code == 1);
  EXPECT((reinterpret_cast<uintptr_t>(seen_address) & ~(kPageSize - 1)) ==
         reinterpret_cast<uintptr_t>(page_of(pair.far, 3)));
}

void a_system_call_on_a_missing_page_gets_efault_in_signal_mode() {
  Pair pair(UFFD_FEATURE_SIGBUS, Delivery::kSignal, false);
  int ends[2];
  EXPECT(pipe(ends) == 0);
  EXPECT(write(ends[1], page_of(pair.far, 0), 1) == -1 && errno == EFAULT);
  pair.fill(0, 7);
  EXPECT(write(ends[1], page_of(pair.far, 0), 1) == 1);
}

void a_system_call_on_a_missing_page_waits_in_message_mode() {
  Pair pair(0, Delivery::kMessage, false);
  std::thread handler([&] {
    pollfd ready{pair.uffd.descriptor(), POLLIN, 0};
    EXPECT(poll(&ready, 1, 5000) == 1);
    fault::FaultMessage message[4];
    EXPECT(pair.uffd.read_messages(message) == 1);
    EXPECT((message[0].address & ~(kPageSize - 1)) == reinterpret_cast<uintptr_t>(page_of(pair.far, 2)));
    pair.fill(2, 42);
  });
  int ends[2];
  EXPECT(pipe(ends) == 0);
  EXPECT(write(ends[1], page_of(pair.far, 2), 1) == 1);
  char got = 0;
  EXPECT(read(ends[0], &got, 1) == 1 && got == 42);
  handler.join();
}

void a_user_access_raises_sigbus_and_a_system_call_waits_in_hybrid_mode() {
  static Pair* shared;
  Pair pair(UFFD_FEATURE_SIGBUS_USER, Delivery::kHybrid, false);
  shared = &pair;
  struct sigaction action {};
  action.sa_flags = SA_SIGINFO;
  action.sa_sigaction = [](int, siginfo_t*, void*) { shared->fill(1, 11); };
  sigaction(SIGBUS, &action, nullptr);
  EXPECT(read_byte(page_of(pair.far, 1)) == 11);
  fault::FaultMessage message[4];
  EXPECT(pair.uffd.read_messages(message) == 0);
  std::thread handler([&] {
    pollfd ready{pair.uffd.descriptor(), POLLIN, 0};
    EXPECT(poll(&ready, 1, 30000) == 1);
    EXPECT(pair.uffd.read_messages(message) == 1);
    EXPECT((message[0].address & ~(kPageSize - 1)) == reinterpret_cast<uintptr_t>(page_of(pair.far, 2)));
    pair.fill(2, 42);
  });
  int ends[2];
  EXPECT(pipe(ends) == 0);
  EXPECT(write(ends[1], page_of(pair.far, 2), 1) == 1);
  char got = 0;
  EXPECT(read(ends[0], &got, 1) == 1 && got == 42);
  handler.join();
}

void copy_over_a_mapped_page_says_exists() {
  Pair pair(UFFD_FEATURE_SIGBUS, Delivery::kSignal, false);
  pair.fill(1, 1);
  memset(pattern, 9, sizeof pattern);
  // Partial progress: page 0 is copied, page 1 is refused.
  const auto result = pair.uffd.copy(page_of(pair.far, 0), pattern, 4 * kPageSize);
  EXPECT(result.status == IoStatus::kExists && result.done == kPageSize);
  EXPECT(read_byte(page_of(pair.far, 0)) == 9 && read_byte(page_of(pair.far, 1)) == 1);
}

void copy_into_a_range_that_is_gone_says_missing() {
  Pair pair(UFFD_FEATURE_SIGBUS, Delivery::kSignal, false);
  EXPECT(munmap(pair.far.data(), pair.far.size()) == 0);
  EXPECT(pair.uffd.copy(page_of(pair.far, 0), pattern, kPageSize).status == IoStatus::kMissing);
}

void copy_across_mappings_says_missing_although_each_page_is_there() {
  Pair pair(UFFD_FEATURE_SIGBUS, Delivery::kSignal, false);
  EXPECT(mprotect(page_of(pair.far, 0), kPageSize, PROT_READ) == 0);
  const auto both = pair.uffd.copy(page_of(pair.far, 0), pattern, 2 * kPageSize);
  EXPECT(both.status == IoStatus::kMissing && both.done == 0);
  EXPECT(pair.uffd.copy(page_of(pair.far, 0), pattern, kPageSize).status == IoStatus::kDone);
  EXPECT(pair.uffd.copy(page_of(pair.far, 1), pattern, kPageSize).status == IoStatus::kDone);
}

void move_freezes_content_and_brings_it_back() {
  Pair pair(kMoveFeatures);
  pair.fill(0, 5);
  EXPECT(pair.move_out(1, Holes::kForbidden).status == IoStatus::kDone);
  EXPECT(read_byte(page_of(pair.staging, 0)) == 5);
  EXPECT(raises_sigbus([&] { (void)read_byte(page_of(pair.far, 0)); }));
  const auto back = pair.uffd.move(page_of(pair.far, 0), page_of(pair.staging, 0), kPageSize, Holes::kForbidden);
  EXPECT(back.status == IoStatus::kDone);
  EXPECT(read_byte(page_of(pair.far, 0)) == 5);
}

void move_skips_holes_only_when_asked() {
  Pair pair(kMoveFeatures);
  pair.fill(0, 1);
  pair.fill(3, 3);
  const auto strict = pair.move_out(4, Holes::kForbidden);
  EXPECT(strict.status == IoStatus::kMissing && strict.done == kPageSize);
  pair.fill(0, 1);
  EXPECT(madvise(pair.staging.data(), pair.staging.size(), MADV_DONTNEED) == 0);
  EXPECT(pair.move_out(4).status == IoStatus::kDone);
  EXPECT(read_byte(page_of(pair.staging, 0)) == 1 && read_byte(page_of(pair.staging, 3)) == 3);
}

void move_stops_where_the_destination_is_taken_even_at_a_hole() {
  Pair pair(kMoveFeatures);
  pair.fill(0, 1);
  pair.fill(2, 2);
  EXPECT(pair.uffd.copy(page_of(pair.staging, 1), pattern, kPageSize).status == IoStatus::kDone);
  const auto result = pair.move_out(3);
  EXPECT(result.status == IoStatus::kExists && result.done == kPageSize);
}

void move_of_a_differently_protected_range_is_refused() {
  Pair pair(kMoveFeatures);
  pair.fill(0, 1);
  EXPECT(mprotect(page_of(pair.far, 0), kPageSize, PROT_READ) == 0);
  EXPECT(pair.move_out(1).status == IoStatus::kRefused);
  EXPECT(mprotect(page_of(pair.far, 0), kPageSize, PROT_READ | PROT_WRITE) == 0);
  EXPECT(pair.move_out(1).status == IoStatus::kDone);
}

void move_of_a_locked_page_is_refused() {
  Pair pair(kMoveFeatures);
  pair.fill(0, 1);
  if (mlock(page_of(pair.far, 0), kPageSize) != 0) skip("mlock is not allowed here (RLIMIT_MEMLOCK)");
  EXPECT(pair.move_out(1).status == IoStatus::kRefused);
}

void move_to_an_unregistered_range_is_refused() {
  Pair pair(kMoveFeatures);
  pair.fill(0, 1);
  const auto elsewhere = make_range(1);
  const auto moved = pair.uffd.move(elsewhere.data(), page_of(pair.far, 0), kPageSize, Holes::kAllowed);
  EXPECT(moved.status == IoStatus::kRefused);
}

void move_of_a_page_shared_after_fork_is_busy_until_it_is_written() {
  Pair pair(kMoveFeatures);
  pair.fill(0, 1);
  int done[2];
  EXPECT(pipe(done) == 0);
  const pid_t child = fork();
  if (child == 0) {
    char byte;
    close(done[1]);
    (void)!read(done[0], &byte, 1);  // lives until the parent has looked
    _exit(0);
  }
  const auto busy = pair.move_out(1);
  EXPECT(busy.status == IoStatus::kBusy);
  __atomic_fetch_or(reinterpret_cast<uint8_t*>(page_of(pair.far, 0)), 0, __ATOMIC_RELAXED);
  EXPECT(pair.move_out(1).status == IoStatus::kDone);
  close(done[1]);
  EXPECT(waitpid(child, nullptr, 0) == child);
}

void a_page_shared_after_fork_is_unshared_unless_its_access_is_taken_away() {
  Pair pair(kMoveFeatures);
  pair.fill(0, 1);
  pair.fill(1, 2);
  int done[2];
  EXPECT(pipe(done) == 0);
  const pid_t child = fork();
  if (child == 0) {
    char byte;
    close(done[1]);
    (void)!read(done[0], &byte, 1);  // lives until the parent has looked
    _exit(0);
  }
  const fault::Pagemap pagemap = fault::Pagemap::open();
  fault::UffdPageMapper mapper(pair.uffd, pagemap, pair.far.data(), pair.staging.data(), 16);
  const fault::StagingSlot slot{0};
  EXPECT(mapper.move_out(PageNumber{0}, 1, {slot, 0}).status == IoStatus::kBusy);
  // As an unmap on another thread does while the evictor owns the page: no fault, and the page stays.
  EXPECT(mprotect(pair.far.data(), pair.far.size(), PROT_NONE) == 0);
  mapper.unshare(PageNumber{0});
  EXPECT(mapper.move_out(PageNumber{0}, 1, {slot, 0}).status != IoStatus::kDone);
  EXPECT(mprotect(pair.far.data(), pair.far.size(), PROT_READ) == 0);
  mapper.unshare(PageNumber{0});
  EXPECT(mapper.move_out(PageNumber{0}, 1, {slot, 0}).status != IoStatus::kDone);
  EXPECT(mprotect(pair.far.data(), pair.far.size(), PROT_READ | PROT_WRITE) == 0);
  mapper.unshare(PageNumber{0});
  EXPECT(mapper.move_out(PageNumber{0}, 1, {slot, 0}).status == IoStatus::kDone);
  EXPECT(read_byte(page_of(pair.far, 1)) == 2);
  close(done[1]);
  EXPECT(waitpid(child, nullptr, 0) == child);
}

void a_forked_child_reads_zeros_for_pages_that_are_away() {
  // The fact that makes ForkedChild necessary.
  Pair pair(kMoveFeatures);
  pair.fill(0, 1);
  EXPECT(pair.move_out(1).status == IoStatus::kDone);
  const pid_t child = fork();
  if (child == 0) _exit(read_byte(page_of(pair.far, 0)) == 0 ? 0 : 1);
  int status = 0;
  EXPECT(waitpid(child, &status, 0) == child);
  EXPECT(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

void write_protection_stops_writers_and_not_readers() {
  Pair pair(UFFD_FEATURE_SIGBUS | UFFD_FEATURE_PAGEFAULT_FLAG_WP);
  pair.fill(0, 1);
  EXPECT(pair.uffd.write_protect(page_of(pair.far, 0), kPageSize, fault::Protection::kReadOnly) == IoStatus::kDone);
  EXPECT(read_byte(page_of(pair.far, 0)) == 1);
  EXPECT(raises_sigbus([&] { write_byte(page_of(pair.far, 0), 2); }));
  EXPECT(pair.uffd.write_protect(page_of(pair.far, 0), kPageSize, fault::Protection::kWritable) == IoStatus::kDone);
  write_byte(page_of(pair.far, 0), 2);
  EXPECT(read_byte(page_of(pair.far, 0)) == 2);
}

void write_protecting_a_hole_does_nothing() {
  Pair pair(UFFD_FEATURE_SIGBUS | UFFD_FEATURE_PAGEFAULT_FLAG_WP);
  EXPECT(pair.uffd.write_protect(page_of(pair.far, 0), kPageSize, fault::Protection::kReadOnly) == IoStatus::kDone);
  pair.fill(0, 1);
  write_byte(page_of(pair.far, 0), 2);  // no SIGBUS
  EXPECT(read_byte(page_of(pair.far, 0)) == 2);
}

void copy_takes_its_bytes_from_a_registered_range() {
  // What eviction without MOVE does: the source is the far page itself.
  Pair pair(UFFD_FEATURE_SIGBUS | UFFD_FEATURE_PAGEFAULT_FLAG_WP);
  pair.fill(0, 8);
  EXPECT(pair.uffd.write_protect(page_of(pair.far, 0), kPageSize, fault::Protection::kReadOnly) == IoStatus::kDone);
  EXPECT(pair.uffd.copy(page_of(pair.staging, 0), page_of(pair.far, 0), kPageSize).status == IoStatus::kDone);
  EXPECT(madvise(page_of(pair.far, 0), kPageSize, MADV_DONTNEED) == 0);
  EXPECT(read_byte(page_of(pair.staging, 0)) == 8);
  EXPECT(raises_sigbus([&] { (void)read_byte(page_of(pair.far, 0)); }));
  // And the absent page is not write-protected when it comes back.
  pair.fill(0, 8);
  write_byte(page_of(pair.far, 0), 3);
}

void mremap_drops_the_registration() {
  Pair pair(UFFD_FEATURE_SIGBUS, Delivery::kSignal, false);
  void* moved = mremap(pair.far.data(), pair.far.size(), pair.far.size(), MREMAP_MAYMOVE | MREMAP_FIXED,
                       make_range(8).data());
  EXPECT(moved != MAP_FAILED);
  EXPECT(read_byte(static_cast<std::byte*>(moved)) == 0);  // zeros instead of a fault
}

void protecting_a_range_keeps_its_registration() {
  // unmap() leaves ranges without access rather than unmapped; map() opens them again.
  Pair pair(UFFD_FEATURE_SIGBUS, Delivery::kSignal, false);
  EXPECT(mprotect(pair.far.data(), pair.far.size(), PROT_NONE) == 0);
  EXPECT(mprotect(pair.far.data(), pair.far.size(), PROT_READ | PROT_WRITE) == 0);
  EXPECT(raises_sigbus([&] { (void)read_byte(page_of(pair.far, 4)); }));
}

void mincore_tells_mapped_pages_from_missing_ones() {
  Pair pair(UFFD_FEATURE_SIGBUS, Delivery::kSignal, false);
  pair.fill(1, 1);
  unsigned char here[2];
  EXPECT(mincore(page_of(pair.far, 0), 2 * kPageSize, here) == 0);
  EXPECT((here[0] & 1) == 0 && (here[1] & 1) == 1);
}

void a_wake_lets_a_waiter_look_again() {
  Pair pair(0, Delivery::kMessage, false);
  std::thread reader([&] { EXPECT(read_byte(page_of(pair.far, 0)) == 6); });
  pollfd ready{pair.uffd.descriptor(), POLLIN, 0};
  EXPECT(poll(&ready, 1, 5000) == 1);
  fault::FaultMessage message[1];
  EXPECT(pair.uffd.read_messages(message) == 1);
  pair.uffd.wake(page_of(pair.far, 0), kPageSize);  // nothing was mapped: it faults again
  EXPECT(poll(&ready, 1, 5000) == 1);
  EXPECT(pair.uffd.read_messages(message) == 1);
  pair.fill(0, 6);
  reader.join();
}

struct Case {
  std::string_view name;
  void (*run)();
};
#define CASE(name) Case{#name, name}
constexpr Case kCases[] = {
    CASE(signal_delivery_raises_sigbus_with_the_address),
    CASE(a_system_call_on_a_missing_page_gets_efault_in_signal_mode),
    CASE(a_system_call_on_a_missing_page_waits_in_message_mode),
    CASE(a_user_access_raises_sigbus_and_a_system_call_waits_in_hybrid_mode),
    CASE(copy_over_a_mapped_page_says_exists),
    CASE(copy_into_a_range_that_is_gone_says_missing),
    CASE(copy_across_mappings_says_missing_although_each_page_is_there),
    CASE(move_freezes_content_and_brings_it_back),
    CASE(move_skips_holes_only_when_asked),
    CASE(move_stops_where_the_destination_is_taken_even_at_a_hole),
    CASE(move_of_a_differently_protected_range_is_refused),
    CASE(move_of_a_locked_page_is_refused),
    CASE(move_to_an_unregistered_range_is_refused),
    CASE(move_of_a_page_shared_after_fork_is_busy_until_it_is_written),
    CASE(a_page_shared_after_fork_is_unshared_unless_its_access_is_taken_away),
    CASE(a_forked_child_reads_zeros_for_pages_that_are_away),
    CASE(write_protection_stops_writers_and_not_readers),
    CASE(write_protecting_a_hole_does_nothing),
    CASE(copy_takes_its_bytes_from_a_registered_range),
    CASE(mremap_drops_the_registration),
    CASE(protecting_a_range_keeps_its_registration),
    CASE(mincore_tells_mapped_pages_from_missing_ones),
    CASE(a_wake_lets_a_waiter_look_again),
};

}  // namespace

int main(int argc, char** argv) {
  alarm(30);
  for (const Case& one : kCases) {
    if (argc > 1 && one.name != argv[1]) continue;
    catch_sigbus();  // a case may have put its own handler in place
    one.run();
    printf("ok: %s\n", std::string(one.name).c_str());
    if (argc > 1) return 0;
  }
  return argc > 1 ? (fprintf(stderr, "no such case: %s\n", argv[1]), 2) : 0;
}
