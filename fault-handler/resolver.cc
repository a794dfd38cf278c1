#include "fault-handler/resolver.h"

#include <algorithm>
#include <bit>

#include "fault-handler/contention.h"
#include "fault-handler/readahead.h"
#include "fault-handler/stop.h"
#include "runtime/base/check.h"
#include "runtime/base/exit_status.h"
#include "runtime/os/clock.h"

namespace tiara::fault {
namespace {

using enum PageState;

// As many zeros as one plan maps at once.
alignas(kPageSize) constinit const std::byte kZeros[Readahead::kMaxWindow * kPageSize] = {};

thread_local constinit Readahead readahead;

// A fault on a page that is resident by our books is normal: another thread was faster. The same page this often
// in a row, by one thread, is not: then the kernel is asked. Racing threads and chaos stay far below it.
constexpr uint32_t kSuspicious = 1000;
struct Suspicion {
  uint64_t page = UINT64_MAX;
  uint32_t count = 0;
};
thread_local constinit Suspicion suspicion;

Arrival arrival_from(PageState origin) {
  switch (origin) {
    case kUntouched: return Arrival::kNew;
    case kRemote: return Arrival::kFetched;
    case kStaged:
    case kWritingBack: return Arrival::kTakenBack;
    case kFetching:
    case kResident:
    case kPoisoned: break;
  }
  TIARA_CHECK(!"a page became resident from a state that has no bytes");
  return Arrival::kNew;
}

constexpr uint32_t kPagesPerRead = 64;
static_assert(kPagesPerRead == ReplyBuffers::kPagesEach);

FetchPlan run_from(PageNumber page, uint32_t count) noexcept {
  return {page, count >= 64 ? ~uint64_t{0} : (uint64_t{1} << std::max(count, 1u)) - 1};
}

}  // namespace

Resolution Resolver::resolve(PageNumber page, uint32_t at) noexcept {
  const auto start = os::monotonic_now();
  const PageState before = load(parts_.directory.word(page)).state();
  if (bring_in(page, 0, Cause::kFault, at) == 0) return Resolution::kForeign;
  const auto elapsed = static_cast<uint64_t>((os::monotonic_now() - start).count());
  parts_.stats.fault_latency.record(elapsed);
  // By the state at entry: a page that another thread was fetching counts as a miss of this thread too.
  if (before == kRemote || before == kFetching) parts_.stats.miss_latency.record(elapsed);
  residency_.settle();
  return Resolution::kMapped;
}

uint32_t Resolver::bring_in(PageNumber page, uint32_t ahead) noexcept {
  const uint32_t done = bring_in(page, ahead, Cause::kDemand, kSomewhere);
  if (done > 0) residency_.settle();
  return done;
}

uint32_t Resolver::bring_in(PageNumber page, uint32_t ahead, Cause cause, uint32_t at) noexcept {
  stats::Counters& counters = parts_.counters();
  AtomicPageWord& word = parts_.directory.word(page);
  const bool is_fault = cause == Cause::kFault;
  bool waited = false;
  Claim claim;
  for (;;) {
    const PageWord seen = load(word);
    if (seen.has(kForeign)) return 0;
    if (seen.has(kBusy)) {
      waited = true;
      wait_for_change(word, seen);
      continue;
    }
    switch (seen.state()) {
      case kResident:
        if (!is_fault) return 1;
        stats::bump(waited ? counters.faults_waited : counters.faults_spurious);
        if (!waited) note_spurious(page);
        parts_.mapper.wake(page);
        return 1;
      case kUntouched:
        if (!claim_first(page, seen, kFetching, claim)) continue;
        claim_others(run_from(page, std::min(ahead, Readahead::kMaxWindow)), kUntouched, claim);
        if (is_fault) stats::bump(counters.faults_untouched);
        install_claimed(claim, kZeros, Zeros::kSameForAll);
        return claim.from(page);
      case kRemote:
        if (!claim_first(page, seen, kFetching, claim)) continue;
        if (at != kSomewhere) {
          if (const auto chase = chases_.find((page.value << kPageShift) + at)) {
            stats::bump(counters.faults_remote);
            fetch_chain(claim, *chase);
            return 1;
          }
        }
        claim_others(is_fault ? plan_for(page) : run_from(page, std::min(ahead, kPagesPerRead)), kRemote, claim);
        if (is_fault) stats::bump(counters.faults_remote);
        fetch(claim);
        return claim.from(page);
      case kStaged:
        if (!claim_first(page, seen, kStaged, claim)) continue;
        if (is_fault) stats::bump(counters.faults_staged);
        take_back(claim);
        return 1;
      case kWritingBack:
        if (!claim_first(page, seen, kWritingBack, claim)) continue;
        if (is_fault) stats::bump(counters.faults_staged);
        copy_back(claim);
        return 1;
      case kPoisoned:
        stop_for_content(parts_.stats, page);
      case kFetching:
        TIARA_CHECK(!"a page is being fetched by nobody");
    }
  }
}

bool Resolver::claim_first(PageNumber page, PageWord seen, PageState wanted, Claim& claim) noexcept {
  const auto owned = try_claim(parts_.directory.word(page), seen, wanted);
  if (!owned) return false;
  parts_.fetches.fetch_add(1, std::memory_order_relaxed);
  claim.first = page;
  claim.pages = 1;
  claim.owned[0] = *owned;
  return true;
}

// Neighbours come along only if nothing has to be waited for.
void Resolver::claim_others(FetchPlan plan, PageState origin, Claim& claim) noexcept {
  const uint64_t own = claim.first.value - plan.first.value;
  TIARA_DCHECK(own < 64 && (plan.pages >> own & 1) != 0);
  const PageWord first = claim.owned[0];
  claim.first = plan.first;
  claim.pages = uint64_t{1} << own;
  claim.owned[own] = first;
  for (uint64_t rest = plan.pages & ~claim.pages; rest != 0; rest &= rest - 1) {
    const auto at = static_cast<uint32_t>(std::countr_zero(rest));
    const PageNumber page = plan.first + PageCount{at};
    if (page.value >= parts_.directory.pages().value) break;
    AtomicPageWord& word = parts_.directory.word(page);
    const PageWord seen = load(word);
    if (seen.state() != origin || seen.has(kBusy | kForeign | kProtected)) continue;
    const auto taken = try_claim(word, seen, kFetching);
    if (!taken) continue;
    claim.owned[at] = *taken;
    claim.pages |= uint64_t{1} << at;
  }
}

FetchPlan Resolver::plan_for(PageNumber page) noexcept {
  if (ahead_ == Ahead::kOff) return {page, 1};
  const FetchPlan plan = readahead.plan(page);
  const Readahead::Verdict verdict = readahead.take_verdict();
  if (verdict.used > 0) stats::bump(parts_.counters().prefetch_used, verdict.used);
  if (verdict.wasted > 0) stats::bump(parts_.counters().prefetch_wasted, verdict.wasted);
  return plan;
}

void Resolver::finish(const Claim& claim, uint32_t at, PageState origin, uint32_t clear) noexcept {
  const PageNumber page = claim.first + PageCount{at};
  parts_.account(origin, kResident, 1);
  release(parts_.directory.word(page), claim.owned[at], claim.owned[at].in(kResident).without(clear));
  residency_.arrived(page, arrival_from(origin));
}

void Resolver::install(Claim& claim, uint32_t at, uint32_t count, const std::byte* bytes, PageState origin) noexcept {
  const uint32_t end = at + count;
  uint32_t most = count;
  while (at < end) {
    const PageNumber page = claim.first + PageCount{at};
    const uint32_t tried = std::min(most, end - at);
    const PagesResult result = parts_.mapper.install(page, tried, bytes);
    for (uint32_t i = 0; i < result.done; ++i) finish(claim, at + i, origin);
    at += result.done;
    bytes += size_t{result.done} << kPageShift;
    const PageNumber stopped = claim.first + PageCount{at};
    switch (result.status) {
      case IoStatus::kDone:
      case IoStatus::kBusy: continue;  // busy: the address space kept changing, try again
      case IoStatus::kExists:
        // We own the word, so nobody of ours mapped it. Zeros may lie over what the kernel mapped for itself, but
        // bytes of an unknown origin in place of a page that was away would be wrong bytes.
        if (origin != kUntouched) stop_for_kernel(parts_.stats, "mapping", "EEXIST", stopped);
        finish(claim, at, origin);
        break;
      case IoStatus::kMissing:
        // The kernel keeps neighbouring mappings apart when their histories differ, and refuses a call that spans two.
        if (tried > 1) {
          most = 1;
          continue;
        }
        [[fallthrough]];
      case IoStatus::kDying:
        release(parts_.directory.word(stopped), claim.owned[at], claim.owned[at].in(origin));
        parts_.mapper.wake(stopped);  // whoever waits meets the kernel's own answer
        break;
      case IoStatus::kNoMemory:
      case IoStatus::kRefused:
      case IoStatus::kFaulted: stop_for_kernel(parts_.stats, "mapping", to_string(result.status), stopped);
    }
    ++at;
    bytes += kPageSize;
  }
}

// `bytes`: of the claimed pages, one after the other; or as many zeros as one run can need.
void Resolver::install_claimed(Claim& claim, const std::byte* bytes, Zeros zeros) noexcept {
  const PageState origin = zeros == Zeros::kSameForAll ? kUntouched : kRemote;
  for (uint64_t rest = claim.pages; rest != 0;) {
    const auto at = static_cast<uint32_t>(std::countr_zero(rest));
    const auto count = static_cast<uint32_t>(std::countr_one(rest >> at));
    install(claim, at, count, bytes, origin);
    if (zeros == Zeros::kNone) bytes += size_t{count} << kPageShift;
    rest = at + count == 64 ? 0 : rest >> (at + count) << (at + count);
  }
}

void Resolver::fetch(Claim& claim) noexcept {
  stats::Counters& counters = parts_.counters();
  const ReplyBuffers::Loan loan(parts_.replies);
  pagetable::ReadResult read;
  read.status = retry_contended(parts_.contended_bound, [&]() noexcept {
    read = parts_.store.read({claim.first, claim.pages}, loan.bytes());
    return read.status;
  });
  if (read.status != pagetable::StoreStatus::kOk) stop_for_store(parts_.stats, read.status, "fetching", claim.first);
  if (read.present != claim.pages) stop_for_content(parts_.stats, claim.first);
  const auto count = static_cast<uint64_t>(std::popcount(claim.pages));
  stats::bump(counters.fetch_invocations);
  stats::bump(counters.fetched_pages, count);
  stats::bump(counters.fetched_bytes, count << kPageShift);
  const std::byte* bytes = loan.bytes().data();
  for (uint64_t rest = claim.pages; rest != 0; rest &= rest - 1, bytes += kPageSize) {
    const PageNumber page = claim.first + PageCount{static_cast<uint32_t>(std::countr_zero(rest))};
    if (hash_page(bytes) != parts_.directory.hash(page)) stop_for_content(parts_.stats, page);
  }
  install_claimed(claim, loan.bytes().data(), Zeros::kNone);
}

void Resolver::fetch_chain(Claim& claim, const pagetable::Chase& chase) noexcept {
  stats::Counters& counters = parts_.counters();
  const ReplyBuffers::Loan loan(parts_.replies);
  static_assert(pagetable::kMostChaseLooks * sizeof(pagetable::ChasedPage) <= ReplyBuffers::kPagesEach * kPageSize);
  pagetable::ChaseResult read;
  read.status = retry_contended(parts_.contended_bound, [&]() noexcept {
    read = parts_.store.chase(chase, loan.bytes());
    return read.status;
  });
  if (read.status != pagetable::StoreStatus::kOk) stop_for_store(parts_.stats, read.status, "fetching", claim.first);
  if (read.count == 0) stop_for_content(parts_.stats, claim.first);
  stats::bump(counters.fetch_invocations);
  stats::bump(counters.fetched_pages, read.count);
  stats::bump(counters.fetched_bytes, uint64_t{read.count} << kPageShift);
  const auto* entries = reinterpret_cast<const pagetable::ChasedPage*>(loan.bytes().data());
  if (hash_page(entries[0].bytes) != parts_.directory.hash(claim.first)) stop_for_content(parts_.stats, claim.first);
  install(claim, 0, 1, entries[0].bytes, kRemote);
  for (uint32_t i = 1; i < read.count; ++i) take_along(entries[i]);
}

// The node read this page before it was ours: it counts only if it is what was stored there last.
void Resolver::take_along(const pagetable::ChasedPage& entry) noexcept {
  const PageNumber page{entry.number};
  if (page.value >= parts_.directory.pages().value) return;
  AtomicPageWord& word = parts_.directory.word(page);
  const PageWord seen = load(word);
  if (seen.state() != kRemote || seen.has(kBusy | kForeign | kProtected)) return;
  const auto owned = try_claim(word, seen, kFetching);
  if (!owned) return;
  if (hash_page(entry.bytes) != parts_.directory.hash(page)) {
    stats::bump(parts_.counters().chase_outdated);
    release(word, *owned, owned->in(kRemote));
    return;
  }
  stats::bump(parts_.counters().chase_pages);
  Claim claim;
  claim.first = page;
  claim.pages = 1;
  claim.owned[0] = *owned;
  install(claim, 0, 1, entry.bytes, kRemote);
}

void Resolver::take_back(Claim& claim) noexcept {
  const ClusterNumber cluster = parts_.directory.cluster_of(claim.first);
  const StagingPlace place{parts_.directory.cluster(cluster).slot(), parts_.directory.position_of(claim.first)};
  TIARA_CHECK(place.slot.is_valid());
  stats::bump(parts_.counters().staging_hits);
  const std::byte* const copy = parts_.staging.copy_at(place.slot, place.position);
  if (copy != nullptr) {
    // The frame is given back with the slot, under the cluster's lock: a fault holds none.
    install(claim, 0, 1, copy, kStaged);
    return;
  }
  const PagesResult moved = parts_.mapper.take_back(claim.first, 1, place);
  if (moved.done == 1) {
    parts_.staging.clear_populated(place.slot, uint64_t{1} << place.position);
    parts_.account_staged(-1);
    finish(claim, 0, kStaged);
    return;
  }
  // Protected differently by now, or its frame is held by somebody: its bytes can still be copied. They stay in
  // staging until the slot is freed.
  install(claim, 0, 1, parts_.staged_bytes(place), kStaged);
}

void Resolver::copy_back(Claim& claim) noexcept {
  const ClusterNumber cluster = parts_.directory.cluster_of(claim.first);
  const StagingPlace place{parts_.directory.cluster(cluster).slot(), parts_.directory.position_of(claim.first)};
  TIARA_CHECK(place.slot.is_valid());
  stats::bump(parts_.counters().staging_hits);
  // kWriting stays set: the writer finds the page resident when its write is answered (write_back.cc).
  install(claim, 0, 1, parts_.staged_bytes(place), kWritingBack);
}

void Resolver::note_spurious(PageNumber page) noexcept {
  if (suspicion.page != page.value) {
    suspicion = {page.value, 0};
    return;
  }
  if (++suspicion.count < kSuspicious) return;
  suspicion.count = 0;
  AtomicPageWord& word = parts_.directory.word(page);
  const PageWord owned = claim_slow(word);
  const bool is_gone = owned.state() == kResident && !owned.has(kForeign) && !parts_.mapper.is_mapped(page);
  if (is_gone)
    stop_process(parts_.stats, kExitOsError, "a far page vanished that nobody had evicted",
                 "the program changed its mappings by raw system calls; keep that memory near (--near)");
  release(word, owned, owned);
}

}  // namespace tiara::fault
