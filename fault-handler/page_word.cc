#include "fault-handler/page_word.h"

#include <array>
#include <chrono>

#include "runtime/base/check.h"
#include "runtime/os/futex.h"

namespace tiara::fault {
namespace {

constexpr uint32_t bit(PageState state) { return 1u << static_cast<uint32_t>(state); }

using enum PageState;
// For each state, the states it may become (itself included: claimed or given up unchanged).
constexpr std::array<uint32_t, kPageStates> kLegal = {
    /* kUntouched   */ bit(kUntouched) | bit(kFetching),
    /* kFetching    */ bit(kFetching) | bit(kResident) | bit(kUntouched) | bit(kRemote) | bit(kPoisoned),
    /* kResident    */ bit(kResident) | bit(kStaged) | bit(kRemote) | bit(kUntouched),
    /* kStaged      */ bit(kStaged) | bit(kResident) | bit(kWritingBack) | bit(kUntouched),
    /* kWritingBack */ bit(kWritingBack) | bit(kResident) | bit(kRemote) | bit(kUntouched),
    /* kRemote      */ bit(kRemote) | bit(kFetching) | bit(kUntouched) | bit(kPoisoned),
    /* kPoisoned    */ bit(kPoisoned) | bit(kUntouched),
};

// An owner holds a page for a few microseconds, unless it waits for the node or lost its CPU: spin about that
// long before paying for a sleep and a wake-up (tens of microseconds on an idle virtual CPU).
constexpr int kSpins = 64;
// A sleeper looks again this often even if nobody wakes it: a bound, not a period anybody relies on.
constexpr std::chrono::milliseconds kWaitSlice{50};

void pause_cpu() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#else
  asm volatile("yield");
#endif
}

}  // namespace

const char* to_string(PageState state) {
  switch (state) {
    case kUntouched: return "untouched";
    case kFetching: return "fetching";
    case kResident: return "resident";
    case kStaged: return "staged";
    case kWritingBack: return "writing back";
    case kRemote: return "remote";
    case kPoisoned: return "poisoned";
  }
  return "unknown";
}

bool is_legal(PageState from, PageState to) { return (kLegal[static_cast<uint32_t>(from)] & bit(to)) != 0; }

std::optional<PageWord> try_claim(AtomicPageWord& word, PageWord seen, PageState to) {
  TIARA_DCHECK(!seen.has(kBusy));
  TIARA_CHECK(is_legal(seen.state(), to));
  uint32_t expected = seen.raw();
  const PageWord owned = seen.in(to).with(kBusy);
  // Sequentially consistent: an evictor's claim and its look at the pins must not pass each other (pins.h);
  // it also acquires what the last owner released.
  if (!word.compare_exchange_strong(expected, owned.raw(), std::memory_order_seq_cst, std::memory_order_relaxed))
    return std::nullopt;
  return owned;
}

void release(AtomicPageWord& word, PageWord owned, PageWord next) {
  TIARA_DCHECK(owned.has(kBusy));
  TIARA_CHECK(is_legal(owned.state(), next.state()));
  // Pairs with load() and try_claim(); sequentially consistent for the queue mark (ClusterWord::try_mark_queued).
  // While we own the word, others may only have set kWaiters.
  const PageWord old(word.exchange(next.without(kBusy | kWaiters).raw(), std::memory_order_seq_cst));
  TIARA_DCHECK(old.without(kWaiters) == owned.without(kWaiters));
  if (old.has(kWaiters)) os::futex_wake_all(word, os::FutexScope::kPrivate);
}

void wait_for_change(AtomicPageWord& word, PageWord seen) {
  for (int spin = 0; spin < kSpins; ++spin) {
    if (load(word).without(kWaiters) != seen.without(kWaiters)) return;
    pause_cpu();
  }
  uint32_t current = word.load(std::memory_order_relaxed);
  if (PageWord(current).without(kWaiters) != seen.without(kWaiters)) return;
  const PageWord marked = PageWord(current).with(kWaiters);
  // Relaxed: the flag only asks for a wake-up; the futex call compares the word again.
  if (current != marked.raw() && !word.compare_exchange_strong(current, marked.raw(), std::memory_order_relaxed))
    return;
  (void)os::futex_wait(word, marked.raw(), kWaitSlice, os::FutexScope::kPrivate);
}

PageWord claim_slow(AtomicPageWord& word, uint32_t unwanted) {
  for (;;) {
    const PageWord seen = load(word);
    if (seen.has(kBusy | unwanted)) {
      wait_for_change(word, seen);
      continue;
    }
    if (const auto owned = try_claim(word, seen)) return *owned;
  }
}

}  // namespace tiara::fault
