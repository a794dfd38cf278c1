#include "pagetable/checker.h"

#include <catch2/catch.hpp>

#include "pagetable/reference_walk.h"
#include "tests/unit/pagetable/test_pool.h"

namespace tiara::pagetable {
namespace {

namespace layout = nic::pool;

// A sound pool with two spaces, a few pages and two free frames.
struct Sound {
  TestPool pool{64};
  uint64_t page_frame = 0;
  uint64_t leaf_table = 0;

  Sound() {
    pool.make_space(0, 4);
    pool.make_space(7, 2, 1000);
    page_frame = pool.map(0, 5);
    pool.map(0, 6);
    pool.map(0, uint64_t{3} << 27);
    pool.map(7, 999);
    const uint64_t first = pool.take_frame(), second = pool.take_frame();
    pool.give_frame(first);
    pool.give_frame(second);
    leaf_table = walk(pool.bytes(), pool.space(0), {5}).leaf_table >> kPageShift;
  }
  CheckReport check() { return check_pool(pool.bytes()); }
};

// Exactly one defect, of this kind.
void require_only(const CheckReport& report, DefectKind kind) {
  for (const Defect& defect : report.defects) UNSCOPED_INFO(describe(defect));
  REQUIRE(report.defect_count == 1);
  CHECK(report.defects[0].kind == kind);
  CHECK_FALSE(describe(report.defects[0]).empty());
}

bool has(const CheckReport& report, DefectKind kind) {
  for (const Defect& defect : report.defects)
    if (defect.kind == kind) return true;
  return false;
}

TEST_CASE("a fresh pool is sound") {
  TestPool pool(8);
  const CheckReport report = check_pool(pool.bytes());
  CHECK(report.is_sound());
  CHECK(report.never_used == 8);
  CHECK(report.live_spaces == 0);
}

TEST_CASE("a pool in use is sound and its report counts what is there") {
  Sound sound;
  const CheckReport report = sound.check();
  for (const Defect& defect : report.defects) UNSCOPED_INFO(describe(defect));
  REQUIRE(report.is_sound());
  CHECK(report.live_spaces == 2);
  CHECK(report.pages == 4);
  CHECK(report.tables == 4 + 3 + 2);
  CHECK(report.free_frames == 2);
  CHECK(report.never_used == 64 - 4 - 9 - 2);
}

TEST_CASE("a pool whose headers make no sense is reported and not walked") {
  Sound sound;
  SECTION("magic") {
    sound.pool.at<layout::PoolHeader>(0).magic = 1;
  }
  SECTION("more frames than there are bytes") {
    sound.pool.at<layout::PoolHeader>(0).frame_count += 1;
  }
  SECTION("two frame counts") {
    sound.pool.alloc().frame_count -= 1;
  }
  SECTION("the node's own frames were handed out") {
    sound.pool.alloc().never_used = 3;
  }
  require_only(sound.check(), DefectKind::kBadHeader);
}

TEST_CASE("a pool that is too short for its headers is reported") {
  alignas(8) std::byte bytes[100] = {};
  require_only(check_pool(bytes), DefectKind::kBadHeader);
}

TEST_CASE("a frame that nobody owns is a leak") {
  Sound sound;
  sound.pool.take_frame();
  require_only(sound.check(), DefectKind::kLeak);
}

TEST_CASE("an entry that was cleared without freeing its frame is a leak and a wrong page count") {
  Sound sound;
  sound.pool.entry(sound.leaf_table, 5) = 0;
  const CheckReport report = sound.check();
  CHECK(report.defect_count == 2);
  CHECK(has(report, DefectKind::kLeak));
  CHECK(has(report, DefectKind::kWrongPageCount));
}

TEST_CASE("a frame in two entries is a double map") {
  Sound sound;
  sound.pool.entry(sound.leaf_table, 9) = layout::entry_of(sound.page_frame);
  require_only(sound.check(), DefectKind::kDoubleMapped);
}

TEST_CASE("a table that is its own child ends as a double map, not as a hang") {
  Sound sound;
  const uint64_t root = layout::frame_of(sound.pool.space(0).root);
  sound.pool.entry(root, 100) = layout::entry_of(root);
  require_only(sound.check(), DefectKind::kDoubleMapped);
}

TEST_CASE("a mapped frame on the free list is reported") {
  Sound sound;
  sound.pool.give_frame(sound.page_frame);
  CHECK(has(sound.check(), DefectKind::kFreeAndMapped));
}

TEST_CASE("a free list with a cycle is reported, and the walk ends") {
  Sound sound;
  const uint64_t head = sound.pool.alloc().head & layout::kHeadFrameMask;
  const uint64_t second = sound.pool.at<uint64_t>(head << kPageShift);
  sound.pool.at<uint64_t>(second << kPageShift) = head;
  require_only(sound.check(), DefectKind::kFreeListCycle);
}

TEST_CASE("a free list that leaves the pool is reported") {
  Sound sound;
  const uint64_t head = sound.pool.alloc().head & layout::kHeadFrameMask;
  SECTION("beyond the end") {
    sound.pool.at<uint64_t>(head << kPageShift) = uint64_t{1} << 50;
  }
  SECTION("into the node's own frames") {
    sound.pool.at<uint64_t>(head << kPageShift) = 1;
  }
  SECTION("into frames that were never handed out") {
    sound.pool.at<uint64_t>(head << kPageShift) = sound.pool.alloc().never_used;
  }
  CHECK(has(sound.check(), DefectKind::kOutOfRange));
}

TEST_CASE("an entry that points out of the pool is reported") {
  Sound sound;
  SECTION("a page") {
    sound.pool.entry(sound.leaf_table, 77) = layout::entry_of(sound.pool.frames());
  }
  SECTION("a table") {
    sound.pool.entry(layout::frame_of(sound.pool.space(0).root), 77) = uint64_t{1} << 60;
  }
  SECTION("a frame of the node") {
    sound.pool.entry(sound.leaf_table, 77) = layout::entry_of(1);
  }
  require_only(sound.check(), DefectKind::kOutOfRange);
}

TEST_CASE("a tree below a dead descriptor is an orphan") {
  Sound sound;
  sound.pool.space(7).state = static_cast<uint64_t>(layout::SpaceState::kFree);
  CHECK(has(sound.check(), DefectKind::kOrphan));
}

TEST_CASE("a page at or above the space's limit is an orphan") {
  Sound sound;
  sound.pool.map(7, 1000);
  require_only(sound.check(), DefectKind::kOrphan);
}

TEST_CASE("flags that have no meaning yet are reported") {
  Sound sound;
  sound.pool.entry(sound.leaf_table, 5) |= 2;
  require_only(sound.check(), DefectKind::kReservedFlags);
}

// The pages of space 0, shared with a third space as pt_clone does it.
struct Shared : Sound {
  uint64_t root = layout::frame_of(pool.space(0).root);
  Shared() {
    pool.make_space(2, 4);
    pool.space(0).root |= layout::kCopyOnWrite;
    pool.space(2).root = pool.space(0).root;
    pool.space(2).pages = pool.space(0).pages;
    pool.space(2).tables = pool.space(0).tables;
    pool.references(root).extra = 1;
  }
};

TEST_CASE("a shared tree is sound and counts for each space") {
  Shared shared;
  const CheckReport report = shared.check();
  for (const Defect& defect : report.defects) UNSCOPED_INFO(describe(defect));
  REQUIRE(report.is_sound());
  CHECK(report.pages == 3 + 3 + 1);
}

TEST_CASE("references that are not as many as the entries are reported") {
  Shared shared;
  SECTION("one owner too many") {
    shared.pool.references(shared.root).extra = 2;
  }
  SECTION("of a page that nobody shares") {
    shared.pool.references(shared.page_frame).extra = 1;
  }
  SECTION("of a free frame") {
    shared.pool.references(shared.pool.alloc().head & layout::kHeadFrameMask).extra = 1;
  }
  require_only(shared.check(), DefectKind::kWrongReferences);
}

TEST_CASE("a shared table whose references are gone is a double map") {
  Shared shared;
  shared.pool.references(shared.root).extra = 0;
  CHECK(has(shared.check(), DefectKind::kDoubleMapped));
}

TEST_CASE("an entry of a shared table that is not marked is reported") {
  Shared shared;
  shared.pool.space(2).root &= ~layout::kCopyOnWrite;
  require_only(shared.check(), DefectKind::kUnmarkedShare);
}

TEST_CASE("dead frames are accounted for, and a cycle among them ends") {
  Sound sound;
  const uint64_t page = sound.pool.take_frame(), table = sound.pool.take_frame();
  sound.pool.references(page).link = table | uint64_t{1} << layout::kDeadLevelShift;
  sound.pool.alloc().dead = page;
  sound.pool.references(table).link = uint64_t{1} << layout::kDeadLevelShift;
  CHECK(sound.check().is_sound());
  CHECK(sound.check().dead_frames == 2);
  sound.pool.references(table).link |= page;
  require_only(sound.check(), DefectKind::kFreeListCycle);
}

TEST_CASE("a descriptor outside its limits is reported and its tree is not walked") {
  Sound sound;
  SECTION("too deep") {
    sound.pool.space(0).levels = 6;
  }
  SECTION("no depth") {
    sound.pool.space(0).levels = 0;
  }
  SECTION("more pages than the depth can name") {
    sound.pool.space(0).max_pages += 1;
  }
  CHECK(has(sound.check(), DefectKind::kBadDescriptor));
}

TEST_CASE("each counter is held against the walk") {
  Sound sound;
  SECTION("pages") {
    sound.pool.space(0).pages += 1;
    require_only(sound.check(), DefectKind::kWrongPageCount);
  }
  SECTION("tables") {
    sound.pool.space(0).tables -= 1;
    require_only(sound.check(), DefectKind::kWrongTableCount);
  }
  SECTION("frames in use") {
    sound.pool.alloc().in_use += 1;
    require_only(sound.check(), DefectKind::kWrongInUse);
  }
}

TEST_CASE("never_used may run past the end of a full pool") {
  TestPool pool(10);
  pool.make_space(0, 1);
  for (uint64_t page = 0; page < 9; ++page) pool.map(0, page);
  REQUIRE(check_pool(pool.bytes()).is_sound());
  pool.alloc().never_used += 5;
  const CheckReport report = check_pool(pool.bytes());
  CHECK(report.is_sound());
  CHECK(report.never_used == 0);
}

TEST_CASE("every defect is counted, the first few hundred are listed") {
  TestPool pool(1000);
  for (int i = 0; i < 1000; ++i) pool.take_frame();
  const CheckReport report = check_pool(pool.bytes());
  CHECK(report.defect_count == 1000);
  CHECK(report.defects.size() == kMaxListedDefects);
}

}  // namespace
}  // namespace tiara::pagetable
