// A PageStore in plain memory of this process, for tests of the pager: no nodes, no allocation, and it checks what
// PageStore's contract asks of its callers (no two calls on one page overlap).
#pragma once

#include <atomic>
#include <bit>
#include <cstring>
#include <optional>
#include <span>

#include "pagetable/page_store.h"
#include "runtime/base/check.h"
#include "runtime/os/memory.h"

namespace tiara::testing {

class ArrayPageStore final : public pagetable::PageStore {
 public:
  enum class Kind { kSynchronous, kWaiting };
  explicit ArrayPageStore(PageCount pages, Kind kind = Kind::kSynchronous)
      : pages_(pages), kind_(kind), bytes_(*os::Mapping::anonymous(pages.bytes())),
        marks_(*os::Mapping::anonymous(Bytes{round_up(pages.value, kPageSize)})) {}

  pagetable::ReadResult read(pagetable::PageBatch batch, std::span<std::byte> out) noexcept override {
    if (fails_next_) return {*fails_next_, 0};
    uint64_t present = 0;
    size_t at = 0;
    for_each(batch, [&](uint64_t page, uint32_t bit) {
      const Exclusive exclusive(*this, page);
      if ((mark(page) & kPresent) == 0) return;
      memcpy(out.data() + at, frame(page), kPageSize);
      at += kPageSize;
      present |= uint64_t{1} << bit;
    });
    ++reads;
    return {pagetable::StoreStatus::kOk, present};
  }
  pagetable::ChaseResult chase(const pagetable::Chase& chase, std::span<std::byte> out) noexcept override {
    if (fails_next_) return {*fails_next_, 0};
    auto* entries = reinterpret_cast<pagetable::ChasedPage*>(out.data());
    uint64_t page = chase.page.value;
    uint64_t link = chase.link;
    uint32_t count = 0;
    for (uint32_t look = 0; look < chase.looks && page < pages_.value; ++look) {
      if (count == 0 || entries[count - 1].number != page) {
        if ((mark(page) & kPresent) == 0) break;
        entries[count].number = page;
        memcpy(entries[count++].bytes, frame(page), kPageSize);
      }
      if (link >> kPageShift != page || link % sizeof(uint64_t) != 0) break;
      uint64_t pointer = 0;
      memcpy(&pointer, entries[count - 1].bytes + link % kPageSize, sizeof pointer);
      link = pointer - chase.base + chase.link_offset;
      page = link >> kPageShift;
    }
    ++reads;
    return {pagetable::StoreStatus::kOk, count};
  }
  pagetable::StoreStatus write(pagetable::PageBatch batch, std::span<const std::byte* const> pages) noexcept override {
    if (fails_next_) return *fails_next_;
    size_t index = 0;
    for_each(batch, [&](uint64_t page, uint32_t) {
      const Exclusive exclusive(*this, page);
      memcpy(frame(page), pages[index++], kPageSize);
      mark(page) |= kPresent;
    });
    ++writes;
    // Often enough in a row that a bounded caller gives up. What was stored is as good as unwritten.
    constexpr uint64_t kBurst = 20;
    if (is_contended_ && (contended_calls_++ / kBurst) % 4 == 3) return pagetable::StoreStatus::kContended;
    return pagetable::StoreStatus::kOk;
  }
  pagetable::StoreStatus discard(PageRange range) noexcept override {
    if (fails_next_) return *fails_next_;
    for (uint64_t page = range.first.value; page < range.end().value; ++page) {
      const Exclusive exclusive(*this, page);
      mark(page) &= static_cast<uint8_t>(~kPresent);
    }
    ++discards;
    return pagetable::StoreStatus::kOk;
  }
  PendingWrite post_write(pagetable::PageBatch batch, std::span<const std::byte* const> pages) noexcept override {
    posted_status_.store(write(batch, pages));
    return PendingWrite{1};
  }
  bool is_done(PendingWrite) noexcept override { return true; }
  pagetable::StoreStatus collect(PendingWrite) noexcept override { return posted_status_; }
  bool is_synchronous() const noexcept override { return kind_ == Kind::kSynchronous; }

  uint64_t present_pages() const {
    uint64_t count = 0;
    for (uint64_t page = 0; page < pages_.value; ++page) count += marks_of(page).load() & kPresent;
    return count;
  }
  bool is_present(PageNumber page) const { return (marks_of(page.value).load() & kPresent) != 0; }
  std::byte* frame(uint64_t page) { return bytes_.data() + (page << kPageShift); }
  void contend_now_and_then() { is_contended_ = true; }
  void fail_from_now_on(pagetable::StoreStatus status) { fails_next_ = status; }

  std::atomic<uint64_t> reads{0};
  std::atomic<uint64_t> writes{0};
  std::atomic<uint64_t> discards{0};

 private:
  static constexpr uint8_t kPresent = 1;
  static constexpr uint8_t kInUse = 2;
  class Exclusive {
   public:
    Exclusive(ArrayPageStore& store, uint64_t page) : mark_(store.mark(page)) {
      TIARA_CHECK((mark_.fetch_or(kInUse) & kInUse) == 0);
    }
    ~Exclusive() { mark_.fetch_and(static_cast<uint8_t>(~kInUse)); }
    Exclusive(const Exclusive&) = delete;
    Exclusive& operator=(const Exclusive&) = delete;

   private:
    std::atomic<uint8_t>& mark_;
  };
  std::atomic<uint8_t>& mark(uint64_t page) {
    TIARA_CHECK(page < pages_.value);
    return reinterpret_cast<std::atomic<uint8_t>*>(marks_.data())[page];
  }
  const std::atomic<uint8_t>& marks_of(uint64_t page) const {
    return reinterpret_cast<const std::atomic<uint8_t>*>(marks_.data())[page];
  }
  template <typename Visit>
  void for_each(pagetable::PageBatch batch, Visit visit) {
    for (uint64_t rest = batch.bitmap; rest != 0; rest &= rest - 1) {
      const auto bit = static_cast<uint32_t>(std::countr_zero(rest));
      visit(batch.first.value + bit, bit);
    }
  }
  PageCount pages_;
  Kind kind_;
  os::Mapping bytes_;
  os::Mapping marks_;
  std::optional<pagetable::StoreStatus> fails_next_;
  bool is_contended_ = false;
  std::atomic<uint64_t> contended_calls_{0};
  std::atomic<pagetable::StoreStatus> posted_status_{pagetable::StoreStatus::kOk};
};

}  // namespace tiara::testing
