// A pool in plain memory, laid out as a fresh node lays it out, for tests of operators and of the
// checker.
#pragma once

#include <cstdlib>
#include <cstring>
#include <memory>
#include <span>

#include "nic/engine/region.h"
#include "nic/node/pool_layout.h"
#include "runtime/base/units.h"

namespace tiara::pagetable {

class TestPool {
 public:
  // `data_frames` frames for tables and pages.
  explicit TestPool(uint64_t data_frames)
      : frames_(nic::pool::kFirstDataFrame + data_frames),
        bytes_(round_up(nic::pool::pool_bytes_for(frames_), kPageSize)),
        base_(static_cast<std::byte*>(std::aligned_alloc(kPageSize, bytes_)), &std::free) {
    std::memset(base_.get(), 0, bytes_);
    auto& header = at<nic::pool::PoolHeader>(0);
    header.magic = nic::pool::kPoolMagic;
    header.frame_count = frames_;
    header.levels = nic::pool::kDefaultLevels;
    alloc().never_used = nic::pool::kFirstDataFrame;
    alloc().frame_count = frames_;
  }

  template <typename T>
  T& at(uint64_t offset) {
    return *reinterpret_cast<T*>(base_.get() + offset);
  }
  nic::pool::AllocHeader& alloc() { return at<nic::pool::AllocHeader>(nic::pool::kAllocOffset); }
  nic::pool::SpaceDescriptor& space(uint32_t index) {
    return at<nic::pool::SpaceDescriptor>(nic::pool::descriptor_offset(index));
  }
  uint64_t& entry(uint64_t table_frame, uint64_t index) {
    return at<uint64_t>((table_frame << kPageShift) + index * sizeof(uint64_t));
  }

  void make_space(uint32_t index, uint32_t levels) {
    make_space(index, levels, nic::pool::max_pages_for(levels));
  }
  void make_space(uint32_t index, uint32_t levels, uint64_t max_pages) {
    space(index) = {};
    space(index).levels = levels;
    space(index).max_pages = max_pages;
    space(index).state = static_cast<uint64_t>(nic::pool::SpaceState::kLive);
    space(index).self = nic::pool::descriptor_offset(index);
  }

  // Frames by hand, for planting defects: what the operators do, without their speed or atomicity.
  uint64_t take_frame() {
    ++alloc().in_use;
    return alloc().never_used++;
  }
  void give_frame(uint64_t frame) {
    --alloc().in_use;
    at<uint64_t>(frame << kPageShift) = alloc().head & nic::pool::kHeadFrameMask;
    alloc().head = frame;
  }
  // Maps `page`, making what tables are missing; returns the page's frame.
  uint64_t map(uint32_t index, uint64_t page) {
    auto& descriptor = space(index);
    if (descriptor.root == 0) {
      descriptor.root = nic::pool::entry_of(take_frame());
      ++descriptor.tables;
    }
    uint64_t table = nic::pool::frame_of(descriptor.root);
    for (auto level = static_cast<uint32_t>(descriptor.levels); level > 1; --level) {
      uint64_t& word = entry(table, nic::pool::entry_index(page, level));
      if (word == 0) {
        word = nic::pool::entry_of(take_frame());
        ++descriptor.tables;
      }
      table = nic::pool::frame_of(word);
    }
    uint64_t& leaf = entry(table, nic::pool::entry_index(page, 1));
    leaf = nic::pool::entry_of(take_frame());
    ++descriptor.pages;
    return nic::pool::frame_of(leaf);
  }

  nic::pool::FrameReferences& references(uint64_t frame) {
    return at<nic::pool::FrameReferences>(nic::pool::references_offset(frames_) +
                                          frame * sizeof(nic::pool::FrameReferences));
  }

  std::span<std::byte> bytes() { return {base_.get(), bytes_}; }
  uint64_t frames() const { return frames_; }

  // The regions of the page-table operators: 0 pool, 1 space, 2 alloc, 3 refs.
  nic::RegionTable regions(uint32_t index) {
    nic::RegionTable table{};
    table[0] = {base_.get(), frames_ << kPageShift, nic::Permission::kReadWriteAtomic};
    table[1] = {base_.get() + nic::pool::descriptor_offset(index), nic::pool::kDescriptorBytes,
                nic::Permission::kReadWriteAtomic};
    table[2] = {base_.get() + nic::pool::kAllocOffset, sizeof(nic::pool::AllocHeader),
                nic::Permission::kReadWriteAtomic};
    table[3] = {base_.get() + nic::pool::references_offset(frames_),
                frames_ * sizeof(nic::pool::FrameReferences), nic::Permission::kReadWriteAtomic};
    return table;
  }

 private:
  uint64_t frames_;
  uint64_t bytes_;
  std::unique_ptr<std::byte, void (*)(void*)> base_;
};

}  // namespace tiara::pagetable
