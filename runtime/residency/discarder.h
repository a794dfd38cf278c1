// Dropping pages: munmap, MADV_DONTNEED, and everything else after which a page must read as zeros.
//
// Each page's word is claimed first, so a fetch or a write in flight is waited for and cannot bring old bytes back.
// While anything is claimed nothing is waited for: the owner of the awaited page may wait for a claimed one.
#pragma once

#include "fault-handler/pager_parts.h"

namespace tiara::residency {

class Discarder {
 public:
  explicit Discarder(const fault::PagerParts& parts) noexcept : parts_(parts) {}

  // Afterwards every page of the range that is ours reads as zeros; `set` and `clear` are applied to the flags of the
  // words (kForeign, kNear, kProtected). The caller blocks signals.
  void discard(PageRange range, uint32_t set, uint32_t clear) noexcept;

 private:
  struct Run;
  void discard_frames(const Run& run) noexcept;
  void flush(Run& run, uint32_t set, uint32_t clear) noexcept;
  const fault::PagerParts& parts_;
};

}  // namespace tiara::residency
