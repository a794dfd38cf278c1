#include "pagetable/checker.h"

#include <algorithm>
#include <unordered_map>

#include "nic/node/pool_layout.h"
#include "pagetable/reference_walk.h"
#include "runtime/base/check.h"

namespace tiara::pagetable {
namespace {

namespace layout = nic::pool;

enum class Owner : uint8_t { kNobody = 0, kFree, kTable, kPage };

class Checker {
 public:
  explicit Checker(std::span<const std::byte> pool) : pool_(pool) {}

  CheckReport run() {
    if (!read_headers()) return std::move(report_);
    owners_.assign(handed_out_, Owner::kNobody);
    follow_free_list();
    follow_dead_list();
    for (uint32_t space = 0; space < layout::kMaxSpaces; ++space) check_space(space);
    compare_references();
    find_leaks();
    return std::move(report_);
  }

 private:
  template <typename T>
  T read(uint64_t offset) const {
    T value;
    std::memcpy(&value, pool_.data() + offset, sizeof value);
    return value;
  }

  void found(const Defect& defect) {
    ++report_.defect_count;
    if (report_.defects.size() < kMaxListedDefects) report_.defects.push_back(defect);
  }

  bool read_headers() {
    const uint64_t frames = pool_.size() / (kPageSize + sizeof(layout::FrameReferences));
    if (frames <= layout::kFirstDataFrame) {
      found({.kind = DefectKind::kBadHeader,
             .expected = layout::kFirstDataFrame + 1,
             .actual = frames});
      return false;
    }
    const auto header = read<layout::PoolHeader>(0);
    alloc_ = read<layout::AllocHeader>(layout::kAllocOffset);
    if (header.magic != layout::kPoolMagic || header.frame_count > frames ||
        header.frame_count <= layout::kFirstDataFrame || alloc_.frame_count != header.frame_count ||
        alloc_.never_used < layout::kFirstDataFrame) {
      found({.kind = DefectKind::kBadHeader, .expected = frames, .actual = header.frame_count});
      return false;
    }
    // The word may have run past the end when several operators met a full pool at once.
    handed_out_ = std::min(alloc_.never_used, header.frame_count);
    report_.never_used = header.frame_count - handed_out_;
    return true;
  }

  bool is_handed_out(uint64_t frame) const {
    return frame >= layout::kFirstDataFrame && frame < handed_out_;
  }

  void follow_free_list() {
    uint64_t frame = alloc_.head & layout::kHeadFrameMask;
    while (frame != 0) {
      if (!is_handed_out(frame)) {
        found({.kind = DefectKind::kOutOfRange, .frame = frame});
        return;
      }
      if (owners_[frame] == Owner::kFree) {
        found({.kind = DefectKind::kFreeListCycle, .frame = frame});
        return;
      }
      owners_[frame] = Owner::kFree;
      ++report_.free_frames;
      frame = read<uint64_t>(frame << kPageShift);
    }
  }

  void check_space(uint32_t index) {
    const auto space = read<layout::SpaceDescriptor>(layout::descriptor_offset(index));
    if (space.state != static_cast<uint64_t>(layout::SpaceState::kLive) &&
        space.state != static_cast<uint64_t>(layout::SpaceState::kHandedOver)) {
      if (space.root != 0)
        found({.kind = DefectKind::kOrphan, .space = index, .frame = space.root});
      return;
    }
    ++report_.live_spaces;
    if (space.levels < 1 || space.levels > layout::kMaxLevels ||
        space.max_pages > layout::max_pages_for(static_cast<uint32_t>(space.levels))) {
      found({.kind = DefectKind::kBadDescriptor, .space = index, .actual = space.levels});
      return;
    }
    space_ = index;
    max_pages_ = space.max_pages;
    Counts counts{};
    if (space.root != 0)
      counts = visit(space.root, static_cast<uint32_t>(space.levels), 0, Sharing::kNone);
    if (counts.pages != space.pages)
      found({.kind = DefectKind::kWrongPageCount,
             .space = index,
             .expected = counts.pages,
             .actual = space.pages});
    if (counts.tables != space.tables)
      found({.kind = DefectKind::kWrongTableCount,
             .space = index,
             .expected = counts.tables,
             .actual = space.tables});
    report_.pages += counts.pages;
    report_.tables += counts.tables;
  }

  // What is dead has no entry that names it; its own entries still name what is below.
  void follow_dead_list() {
    uint64_t frame = alloc_.dead & layout::kHeadFrameMask;
    space_ = kNoSpace;
    max_pages_ = UINT64_MAX;
    while (frame != 0) {
      if (!is_handed_out(frame)) {
        found({.kind = DefectKind::kOutOfRange, .frame = frame});
        return;
      }
      if (owners_[frame] != Owner::kNobody) {
        found({.kind = DefectKind::kFreeListCycle, .frame = frame});
        return;
      }
      ++report_.dead_frames;
      const uint64_t link = references(frame).link;
      const auto level = std::min<uint64_t>(link >> layout::kDeadLevelShift, layout::kMaxLevels);
      (void)visit(layout::entry_of(frame), static_cast<uint32_t>(level), 0, Sharing::kMarked);
      frame = link & layout::kHeadFrameMask;
    }
  }

  struct Counts {
    uint64_t pages = 0;
    uint64_t tables = 0;
  };
  enum class Sharing : uint8_t { kNone, kMarked };

  // A frame that several entries name, or whose references say so.
  struct Shared {
    uint64_t entries = 1;
    uint32_t level = 0;
    bool is_complete = false;  // everything below was counted: another visit need not go down again
    Counts counts{};
  };

  layout::FrameReferences references(uint64_t frame) const {
    return read<layout::FrameReferences>(layout::references_offset(alloc_.frame_count) +
                                         frame * sizeof(layout::FrameReferences));
  }

  // `entry` stands for the pages from `page`; `level` 0 is a page, 1 a leaf table. Depth is at most
  // kMaxLevels; what is shared is gone through once.
  Counts visit(uint64_t entry, uint32_t level, uint64_t page, Sharing above) {
    if ((entry & layout::kEntryFlagsMask & ~layout::kCopyOnWrite) != 0)
      found({.kind = DefectKind::kReservedFlags,
             .space = space_,
             .page = page,
             .frame = layout::frame_of(entry)});
    const uint64_t frame = layout::frame_of(entry);
    if (!is_handed_out(frame)) {
      found({.kind = DefectKind::kOutOfRange, .space = space_, .page = page, .frame = frame});
      return {};
    }
    if (page >= max_pages_)
      found({.kind = DefectKind::kOrphan, .space = space_, .page = page, .frame = frame});
    const Sharing sharing = (entry & layout::kCopyOnWrite) != 0 ? Sharing::kMarked : above;
    const bool is_shared = references(frame).extra != 0;
    if (is_shared && sharing == Sharing::kNone)
      found({.kind = DefectKind::kUnmarkedShare, .space = space_, .page = page, .frame = frame});
    const Owner owner = level == 0 ? Owner::kPage : Owner::kTable;
    if (owners_[frame] != Owner::kNobody) {
      const auto seen = shared_.find(frame);
      if (seen != shared_.end() && owners_[frame] == owner && seen->second.level == level &&
          seen->second.is_complete) {
        ++seen->second.entries;
        return seen->second.counts;
      }
      const DefectKind kind =
          owners_[frame] == Owner::kFree ? DefectKind::kFreeAndMapped : DefectKind::kDoubleMapped;
      found({.kind = kind, .space = space_, .page = page, .frame = frame});
      return {};  // walking a table twice could go on for ever
    }
    owners_[frame] = owner;
    if (is_shared) shared_[frame] = {.level = level};
    const Counts counts = level == 0 ? Counts{.pages = 1} : visit_table(frame, level, page, sharing);
    if (is_shared) {
      shared_[frame].is_complete = true;
      shared_[frame].counts = counts;
    }
    return counts;
  }

  Counts visit_table(uint64_t frame, uint32_t level, uint64_t page, Sharing sharing) {
    Counts counts{.tables = 1};
    const uint64_t span = uint64_t{1} << (layout::kBitsPerLevel * (level - 1));
    for (uint64_t i = 0; i < layout::kEntriesPerTable; ++i) {
      const auto below = read<uint64_t>((frame << kPageShift) + i * sizeof(uint64_t));
      if (below == 0) continue;
      const Counts more = visit(below, level - 1, page + i * span, sharing);
      counts.pages += more.pages;
      counts.tables += more.tables;
    }
    return counts;
  }

  void compare_references() {
    for (uint64_t frame = layout::kFirstDataFrame; frame < handed_out_; ++frame) {
      const auto seen = shared_.find(frame);
      const uint64_t entries = seen == shared_.end() ? 1 : seen->second.entries;
      const uint64_t extra = references(frame).extra;
      if (extra != entries - 1)
        found({.kind = DefectKind::kWrongReferences,
               .frame = frame,
               .expected = entries - 1,
               .actual = extra});
    }
  }

  void find_leaks() {
    uint64_t leaked = 0;
    for (uint64_t frame = layout::kFirstDataFrame; frame < handed_out_; ++frame) {
      if (owners_[frame] != Owner::kNobody) continue;
      ++leaked;
      found({.kind = DefectKind::kLeak, .frame = frame});
    }
    // Leaked frames were handed out and count as in use: one defect, not two.
    const uint64_t in_use = handed_out_ - layout::kFirstDataFrame - report_.free_frames;
    TIARA_CHECK(leaked <= in_use);
    if (alloc_.in_use != in_use && alloc_.in_use != in_use - leaked)
      found({.kind = DefectKind::kWrongInUse, .expected = in_use, .actual = alloc_.in_use});
  }

  std::span<const std::byte> pool_;
  CheckReport report_;
  layout::AllocHeader alloc_{};
  uint64_t handed_out_ =
      0;  // frames below this were handed out at least once (or are the node's own)
  std::vector<Owner> owners_;
  std::unordered_map<uint64_t, Shared> shared_;
  uint32_t space_ = kNoSpace;  // of the walk that runs
  uint64_t max_pages_ = 0;
};

}  // namespace

const char* to_string(DefectKind kind) noexcept {
  switch (kind) {
    case DefectKind::kBadHeader: return "bad pool header";
    case DefectKind::kBadDescriptor: return "bad address-space descriptor";
    case DefectKind::kOutOfRange: return "frame out of range";
    case DefectKind::kDoubleMapped: return "frame mapped twice";
    case DefectKind::kFreeAndMapped: return "frame both free and mapped";
    case DefectKind::kFreeListCycle: return "free list has a cycle";
    case DefectKind::kOrphan: return "memory that no operator can reach";
    case DefectKind::kLeak: return "leaked frame";
    case DefectKind::kReservedFlags: return "reserved entry flags set";
    case DefectKind::kWrongReferences: return "count of references is wrong";
    case DefectKind::kUnmarkedShare: return "shared frame in an entry that is not marked";
    case DefectKind::kWrongPageCount: return "page count is wrong";
    case DefectKind::kWrongTableCount: return "table count is wrong";
    case DefectKind::kWrongInUse: return "count of frames in use is wrong";
  }
  TIARA_CHECK(false);
}

std::string describe(const Defect& defect) {
  std::string line = to_string(defect.kind);
  if (defect.space != kNoSpace)
    line += ": space " + std::to_string(defect.space) + ", page " + std::to_string(defect.page);
  if (defect.frame != 0) line += ", frame " + std::to_string(defect.frame);
  if (defect.expected != 0 || defect.actual != 0)
    line += ": expected " + std::to_string(defect.expected) + ", found " +
            std::to_string(defect.actual);
  return line;
}

CheckReport check_pool(std::span<const std::byte> pool) {
  return Checker(pool).run();
}

}  // namespace tiara::pagetable
