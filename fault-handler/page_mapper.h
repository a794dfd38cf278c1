// What the pager asks of the kernel: map, unmap and move whole pages, by page number and staging place.
//
// UffdPageMapper does it with userfaultfd; the model test's fake does it on arrays and checks that each call is
// legal. Every call is made by the owner of the pages' state words. None allocates; errno is preserved.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "fault-handler/page_directory.h"
#include "fault-handler/pagemap.h"
#include "fault-handler/userfaultfd.h"
#include "runtime/base/units.h"

namespace tiara::fault {

// A page's place in staging: slot, and position inside the slot (the same as inside the cluster).
struct StagingPlace {
  StagingSlot slot;
  uint32_t position = 0;
};

struct PagesResult {
  IoStatus status;   // kDone, or why page number `done` could not be handled
  uint32_t done = 0; // pages handled from the start of the run
};

// Neighbouring pages.
struct PageRun {
  PageNumber first;
  uint32_t count = 0;
};

class PageMapper {
 public:
  virtual ~PageMapper() = default;

  // Maps `count` new pages with these bytes and wakes whoever waits for them.
  virtual PagesResult install(PageNumber first, uint32_t count, const std::byte* bytes) noexcept = 0;
  // Moves `count` pages of one cluster to the same positions of a staging slot, where nothing may be yet. Content
  // is frozen from then on. Holes are allowed: an absent page counts as handled.
  virtual PagesResult move_out(PageNumber first, uint32_t count, StagingPlace to) noexcept = 0;
  // Freezes `count` pages where they are: from here until thaw() or drop() a writer faults, and waits
  // for the owner of the page's word; readers go on. Holes are allowed: an absent page stays absent. All or nothing.
  virtual IoStatus freeze(PageNumber first, uint32_t count) noexcept = 0;
  virtual void thaw(PageNumber first, uint32_t count) noexcept = 0;
  // The bytes of a frozen page. Valid until it is thawed or dropped.
  virtual const std::byte* frozen_bytes(PageNumber page) const noexcept = 0;
  // Moves staged pages back.
  virtual PagesResult take_back(PageNumber first, uint32_t count, StagingPlace from) noexcept = 0;
  // Makes a mapped page that is shared copy-on-write (after a fork) ours alone, so that it can move. Changes nothing
  // where the program may not write: it may be taking its access away at this very moment.
  virtual void unshare(PageNumber page) noexcept = 0;
  // Drops mapped pages; absent ones are not an error.
  virtual void drop(PageNumber first, uint32_t count) noexcept = 0;
  // The same for several runs, with one flush of the TLB where the kernel can do that.
  virtual void drop_runs(std::span<const PageRun> runs) noexcept {
    for (const PageRun& run : runs) drop(run.first, run.count);
  }
  // Drops staged bytes of the places [slot 0 position + index...]: `count` places from `from` onwards, across slots.
  virtual void drop_staged(StagingPlace from, uint32_t count) noexcept = 0;
  virtual const std::byte* staged_bytes(StagingPlace at) const noexcept = 0;
  // Wakes threads that wait for a page that needed nothing.
  virtual void wake(PageNumber page) noexcept = 0;
  // Asks the kernel whether it has the page, mapped or in its own swap; slow, for checking a suspicion.
  virtual bool is_mapped(PageNumber page) const noexcept = 0;
};

class UffdPageMapper final : public PageMapper {
 public:
  // `pages` and `staging` are registered with `uffd`; all outlive the mapper.
  UffdPageMapper(const Userfaultfd& uffd, const Pagemap& pagemap, std::byte* pages, std::byte* staging,
                 uint32_t cluster_pages) noexcept
      : uffd_(uffd), pagemap_(pagemap), pages_(pages), staging_(staging), cluster_pages_(cluster_pages) {}

  PagesResult install(PageNumber first, uint32_t count, const std::byte* bytes) noexcept override;
  PagesResult move_out(PageNumber first, uint32_t count, StagingPlace to) noexcept override;
  IoStatus freeze(PageNumber first, uint32_t count) noexcept override;
  void thaw(PageNumber first, uint32_t count) noexcept override;
  const std::byte* frozen_bytes(PageNumber page) const noexcept override { return address_of(page); }
  PagesResult take_back(PageNumber first, uint32_t count, StagingPlace from) noexcept override;
  void unshare(PageNumber page) noexcept override;
  void drop(PageNumber first, uint32_t count) noexcept override;
  void drop_runs(std::span<const PageRun> runs) noexcept override;
  void drop_staged(StagingPlace from, uint32_t count) noexcept override;
  const std::byte* staged_bytes(StagingPlace at) const noexcept override;
  void wake(PageNumber page) noexcept override;
  bool is_mapped(PageNumber page) const noexcept override;

 private:
  std::byte* address_of(PageNumber page) const { return pages_ + (page.value << kPageShift); }
  std::byte* address_of(StagingPlace at) const {
    return staging_ + ((uint64_t{at.slot.value} * cluster_pages_ + at.position) << kPageShift);
  }
  PagesResult move(std::byte* to, std::byte* from, uint32_t count, Holes holes) const noexcept;
  bool has_moved(const std::byte* to, const std::byte* from) const noexcept;

  const Userfaultfd& uffd_;
  const Pagemap& pagemap_;
  std::byte* const pages_;
  std::byte* const staging_;
  const uint32_t cluster_pages_;
};

}  // namespace tiara::fault
