// Far memory in the child of a fork: what was here is the child's own copy; what was away is the parent's alone.
//
// The child runs no pager. If everything was here, its pages are plain memory. If not, it watches the range with a
// userfaultfd of its own, only to tell untouched pages (zeros) from pages that are away (the end of the child).
#pragma once

#include <cstdint>
#include <span>

#include "runtime/residency/far_space.h"

namespace tiara::residency {

class ForkedChild {
 public:
  // In the child, after the fork, single-threaded. `was_anything_away` as the parent knew it while it held still.
  // `inherited` descriptors are closed: the parent's userfaultfd and connections are not the child's.
  void begin(FarSpace& space, bool was_anything_away, std::span<const int> inherited) noexcept;

  bool is_watching() const noexcept { return is_watching_; }
  // Serves a fault of the child. Never returns for a page that is away.
  fault::Resolution resolve(PageNumber page) noexcept;
  // Makes the pages readable by the kernel, as a pin does.
  void bring_in(PageRange range) noexcept;
  // Forgets the pages: zeros from now on.
  void discard(PageRange range) noexcept;
  void give_up(PageRange range, int protection) noexcept;

 private:
  static void run_handler(void* self);
  bool is_away(PageNumber page) const noexcept;
  FarSpace* space_ = nullptr;
  bool is_watching_ = false;
};

}  // namespace tiara::residency
