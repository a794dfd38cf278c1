// From a fault to a mapped page. See docs/life-of-a-miss.md for the steps; in short:
//   1. look at the page's word: resident → done; owned by somebody → wait, look again
//   2. claim it, and for a stream its remote neighbours
//   3. untouched → map zeros; staged → move it back; being written → copy it back; remote → one read of the node,
//      check every page's hash, map the runs
//   4. give the words up, which wakes waiters; queue the clusters; let residency evict
// Any number of threads may resolve at once; a thread must not take a signal whose handler could touch far memory
// while it is in here (it may own pages): callers that are not fault handlers block signals first.
#pragma once

#include <atomic>
#include <bit>
#include <cstdint>

#include "fault-handler/chase.h"
#include "fault-handler/pager_parts.h"
#include "fault-handler/readahead.h"

namespace tiara::fault {

enum class Resolution : uint8_t {
  kMapped,   // the access can be retried
  kForeign,  // the program has mapped something of its own there
};

class Resolver {
 public:
  enum class Ahead : uint8_t { kOn, kOff };  // fetch ahead of streams?
  Resolver(const PagerParts& parts, Residency& residency, Ahead ahead) noexcept
      : parts_(parts), residency_(residency), ahead_(ahead) {}

  // Serves one fault. Returns once the page is mapped (it may be gone again when the caller looks). `at`: the byte
  // of the page that was accessed, where the kernel says: the rules of chases() need it.
  static constexpr uint32_t kSomewhere = UINT32_MAX;
  Resolution resolve(PageNumber page, uint32_t at = kSomewhere) noexcept;
  ChaseRules& chases() noexcept { return chases_; }

  // Makes the page resident for somebody who wants `ahead` pages from here on: neighbours that need the same treatment
  // come along. Not counted as a fault. Returns the number of pages done, at least 1; 0 when the page is foreign.
  uint32_t bring_in(PageNumber page, uint32_t ahead) noexcept;

 private:
  // What step 3 needs to know about the pages that were claimed: first + i for each bit i of `pages`, with their words
  // before the claim.
  struct Claim {
    PageNumber first;
    uint64_t pages = 0;
    PageWord owned[64];
    // How many claimed pages follow each other from `page` on.
    uint32_t from(PageNumber page) const {
      return static_cast<uint32_t>(std::countr_one(pages >> (page.value - first.value)));
    }
  };
  enum class Cause : uint8_t { kFault, kDemand };
  enum class Zeros : uint8_t { kNone, kSameForAll };

  uint32_t bring_in(PageNumber page, uint32_t ahead, Cause cause, uint32_t at) noexcept;
  bool claim_first(PageNumber page, PageWord seen, PageState wanted, Claim& claim) noexcept;
  void claim_others(FetchPlan plan, PageState origin, Claim& claim) noexcept;
  FetchPlan plan_for(PageNumber page) noexcept;
  void install_claimed(Claim& claim, const std::byte* bytes, Zeros zeros) noexcept;
  void fetch(Claim& claim) noexcept;
  void fetch_chain(Claim& claim, const pagetable::Chase& chase) noexcept;
  void take_along(const pagetable::ChasedPage& entry) noexcept;
  void take_back(Claim& claim) noexcept;
  void copy_back(Claim& claim) noexcept;
  // Maps bytes of claimed pages [at, at + count) of the claim and releases their words as resident. A page whose
  // mapping is gone (the program unmapped it by a raw call) is released as it was, in state `origin`.
  void install(Claim& claim, uint32_t at, uint32_t count, const std::byte* bytes, PageState origin) noexcept;
  void finish(const Claim& claim, uint32_t at, PageState origin, uint32_t clear = 0) noexcept;
  void note_spurious(PageNumber page) noexcept;

  const PagerParts& parts_;
  Residency& residency_;
  const Ahead ahead_;
  ChaseRules chases_;
};

}  // namespace tiara::fault
