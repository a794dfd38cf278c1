// Trying again while a memory node answers "contended": other writers keep winning its free list, which is over in
// microseconds unless something is wrong with the node.
#pragma once

#include <sched.h>

#include "pagetable/page_store.h"
#include "runtime/os/clock.h"

namespace tiara::fault {

// Makes `call` until it answers something else, for `bound` at most: kContended comes back when that is over, and the
// caller stops the process. At least two tries, however short the bound.
template <typename Call>
pagetable::StoreStatus retry_contended(os::Nanoseconds bound, Call&& call) noexcept {
  pagetable::StoreStatus status = call();
  if (status != pagetable::StoreStatus::kContended) return status;
  const os::Nanoseconds deadline = os::monotonic_now() + bound;
  do {
    sched_yield();
    status = call();
  } while (status == pagetable::StoreStatus::kContended && os::monotonic_now() < deadline);
  return status;
}

}  // namespace tiara::fault
