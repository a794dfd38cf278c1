// A kernel made of arrays: a PageMapper that maps, moves and drops pages of plain memory, checks that every call is
// one that a correct pager may make, and refuses pages now and then as the real one does (EBUSY, EINVAL).
//
// program_read and program_write stand for the program's own accesses: they fail when the page is not mapped. A
// lock per page stands for the atomicity that hardware gives a page-table entry.
#pragma once

#include <array>
#include <atomic>
#include <cstring>
#include <mutex>
#include <vector>

#include "fault-handler/page_mapper.h"
#include "runtime/base/check.h"

namespace tiara::testing {

class FakeKernel final : public fault::PageMapper {
 public:
  // `refusals`: one in so many pages is refused by move_out and take_back; 0 = none.
  FakeKernel(uint64_t pages, uint32_t slots, uint32_t cluster_pages, uint32_t refusals)
      : cluster_pages_(cluster_pages), refusals_(refusals), pages_(pages), staged_(uint64_t{slots} * cluster_pages) {}

  // --- the program ---
  bool program_write(PageNumber page, size_t offset, uint64_t value) {
    Frame& frame = pages_[page.value];
    const std::lock_guard hold(frame.lock);
    if (!frame.is_mapped || frame.is_read_only) return false;
    memcpy(frame.bytes.data() + offset, &value, sizeof value);
    return true;
  }
  bool program_read(PageNumber page, size_t offset, uint64_t& value) {
    Frame& frame = pages_[page.value];
    const std::lock_guard hold(frame.lock);
    if (!frame.is_mapped) return false;
    memcpy(&value, frame.bytes.data() + offset, sizeof value);
    return true;
  }
  uint64_t mapped_pages() {
    uint64_t count = 0;
    for (Frame& frame : pages_) {
      const std::lock_guard hold(frame.lock);
      count += frame.is_mapped;
    }
    return count;
  }
  uint64_t staged_pages() {
    uint64_t count = 0;
    for (Frame& frame : staged_) count += frame.is_mapped;
    return count;
  }

  // --- the pager ---
  fault::PagesResult install(PageNumber first, uint32_t count, const std::byte* bytes) noexcept override {
    for (uint32_t i = 0; i < count; ++i) {
      Frame& frame = pages_[first.value + i];
      const std::lock_guard hold(frame.lock);
      if (frame.is_mapped) return {fault::IoStatus::kExists, i};
      memcpy(frame.bytes.data(), bytes + (size_t{i} << kPageShift), kPageSize);
      frame.is_mapped = true;
      frame.is_read_only = false;
    }
    return {fault::IoStatus::kDone, count};
  }
  fault::PagesResult move_out(PageNumber first, uint32_t count, fault::StagingPlace to) noexcept override {
    for (uint32_t i = 0; i < count; ++i) {
      Frame& from = pages_[first.value + i];
      Frame& staged = staged_[place(to) + i];
      const std::lock_guard hold(from.lock);
      if (staged.is_mapped) return {fault::IoStatus::kExists, i};
      if (!from.is_mapped) continue;  // a hole
      if (refuses()) return {next() % 2 == 0 ? fault::IoStatus::kBusy : fault::IoStatus::kRefused, i};
      staged.bytes = from.bytes;
      staged.is_mapped = true;
      TIARA_CHECK(!from.is_read_only);
      from.is_mapped = false;
    }
    return {fault::IoStatus::kDone, count};
  }
  fault::IoStatus freeze(PageNumber first, uint32_t count) noexcept override {
    if (refuses()) return next() % 2 == 0 || count == 1 ? fault::IoStatus::kBusy : fault::IoStatus::kRefused;
    for (uint32_t i = 0; i < count; ++i) {
      Frame& frame = pages_[first.value + i];
      const std::lock_guard hold(frame.lock);
      if (frame.is_mapped) frame.is_read_only = true;  // a hole stays one
    }
    return fault::IoStatus::kDone;
  }
  void thaw(PageNumber first, uint32_t count) noexcept override {
    for (uint32_t i = 0; i < count; ++i) {
      Frame& frame = pages_[first.value + i];
      const std::lock_guard hold(frame.lock);
      frame.is_read_only = false;
    }
  }
  const std::byte* frozen_bytes(PageNumber page) const noexcept override {
    TIARA_CHECK(pages_[page.value].is_mapped && pages_[page.value].is_read_only);
    return pages_[page.value].bytes.data();
  }
  fault::PagesResult take_back(PageNumber first, uint32_t count, fault::StagingPlace from) noexcept override {
    for (uint32_t i = 0; i < count; ++i) {
      Frame& to = pages_[first.value + i];
      Frame& staged = staged_[place(from) + i];
      const std::lock_guard hold(to.lock);
      TIARA_CHECK(!to.is_mapped && staged.is_mapped);
      if (refuses()) return {fault::IoStatus::kRefused, i};
      to.bytes = staged.bytes;
      to.is_mapped = true;
      staged.is_mapped = false;
    }
    return {fault::IoStatus::kDone, count};
  }
  void unshare(PageNumber page) noexcept override {
    const std::lock_guard hold(pages_[page.value].lock);
    TIARA_CHECK(pages_[page.value].is_mapped);
  }
  void drop(PageNumber first, uint32_t count) noexcept override {
    for (uint32_t i = 0; i < count; ++i) {
      const std::lock_guard hold(pages_[first.value + i].lock);
      pages_[first.value + i].is_mapped = false;
      pages_[first.value + i].is_read_only = false;
    }
  }
  void drop_staged(fault::StagingPlace from, uint32_t count) noexcept override {
    // Bytes of other slots that lie between: the pager promises that there are none, so all may go.
    for (uint32_t i = 0; i < count; ++i) staged_[place(from) + i].is_mapped = false;
  }
  const std::byte* staged_bytes(fault::StagingPlace at) const noexcept override {
    TIARA_CHECK(staged_[place(at)].is_mapped);
    return staged_[place(at)].bytes.data();
  }
  void wake(PageNumber) noexcept override {}
  bool is_mapped(PageNumber page) const noexcept override { return pages_[page.value].is_mapped; }

 private:
  struct Frame {
    std::mutex lock;
    bool is_mapped = false;
    bool is_read_only = false;
    std::array<std::byte, kPageSize> bytes;
  };
  size_t place(fault::StagingPlace at) const { return uint64_t{at.slot.value} * cluster_pages_ + at.position; }
  uint64_t next() noexcept {
    // Any sequence will do, as long as it is the same for one thread and one seed.
    return (random_.fetch_add(0x9E3779B97F4A7C15u, std::memory_order_relaxed) * 0xBF58476D1CE4E5B9u) >> 33;
  }
  bool refuses() noexcept { return refusals_ != 0 && next() % refusals_ == 0; }

  const uint32_t cluster_pages_;
  const uint32_t refusals_;
  std::atomic<uint64_t> random_{1};
  std::vector<Frame> pages_;
  std::vector<Frame> staged_;
};

}  // namespace tiara::testing
