#include "runtime/residency/inherited_pages.h"

#include "fault-handler/contention.h"
#include "fault-handler/stop.h"

namespace tiara::residency {
namespace {

using fault::PageState;
using fault::PageWord;
using fault::load;
using enum fault::PageState;

// The owner of a page that was away, stopped by the fork, may have been discarding it: the store knows how far it came.
bool is_stored(Pager& pager, PageNumber page) noexcept {
  alignas(8) static std::byte bytes[kPageSize];  // one thread, and its stack may be small
  const fault::PagerParts& parts = pager.parts();
  pagetable::ReadResult got;
  (void)fault::retry_contended(parts.contended_bound, [&] {
    got = parts.store.read({page, 1}, bytes);
    return got.status;
  });
  if (got.status != pagetable::StoreStatus::kOk) fault::stop_for_store(parts.stats, got.status, "reading", page);
  return got.present != 0;
}

PageWord settled(Pager& pager, PageNumber page, PageWord seen, const std::byte* address,
                 const fault::Pagemap& pagemap) noexcept {
  const PageWord idle = seen.without(fault::kBusy | fault::kWaiters | fault::kWriting);
  const bool was_owned = seen.has(fault::kBusy);
  switch (seen.state()) {
    case kUntouched:
    case kPoisoned: return idle;
    case kFetching:
      if (pagemap.has_bytes(address)) return idle.in(kResident);
      return idle.in(seen.has(fault::kHasFrame) ? kRemote : kUntouched);
    case kResident:
      if (!was_owned) return idle;
      // Perhaps a discard that was cut off: what is mapped is the truth, what the node has is not asked for again.
      return idle.without(fault::kHasFrame).in(pagemap.has_bytes(address) ? kResident : kUntouched);
    case kRemote:
      if (!was_owned) return idle;
      // The store was copied a moment before the fork: what a discard did to it in between, only the parent's has seen.
      // Then the page has no hash any more, and what the copy has is not asked for.
      if (pager.parts().directory.hash(page) != 0 && is_stored(pager, page)) return idle;
      return idle.without(fault::kHasFrame).in(kUntouched);
    case kStaged:
    case kWritingBack: return idle.in(kPoisoned);  // hold_still() leaves none; staging is not inherited
  }
  return idle.in(kPoisoned);
}

}  // namespace

void settle_inherited_pages(Pager& pager, PageNumber end, const std::byte* base,
                            const fault::Pagemap& pagemap) noexcept {
  fault::PageDirectory& directory = pager.parts().directory;
  for (PageNumber page{0}; page < end; page = page + PageCount{1}) {
    if (directory.position_of(page) == 0) directory.cluster(directory.cluster_of(page)).reset_after_fork();
    fault::AtomicPageWord& word = directory.word(page);
    const PageWord seen = load(word);
    if (seen.raw() == 0) continue;
    const PageWord now = settled(pager, page, seen, base + (page.value << kPageShift), pagemap);
    word.store(now.raw(), std::memory_order_relaxed);  // one thread
    if (now.state() == kUntouched || now.state() == kPoisoned) continue;
    pager.parts().account(kUntouched, now.state(), 1);
    if (now.state() == kResident) pager.arrived(page, fault::Arrival::kNew);
  }
}

}  // namespace tiara::residency
