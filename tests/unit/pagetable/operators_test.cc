// The page-table operators one at a time: contract, results, bounds on what a walk costs, what a
// full pool does.
#include <catch2/catch.hpp>

#include "pagetable/reference_walk.h"
#include "tests/unit/nic/operators/proved_bounds.h"
#include "pagetable/page_store.h"
#include "tests/unit/pagetable/operators.h"
#include "tests/unit/pagetable/soundness.h"

namespace tiara::pagetable {
namespace {

namespace layout = nic::pool;
using nic::Status;

constexpr uint32_t kSpace = 3;

TEST_CASE("a page that was written is read back at every depth") {
  for (uint32_t levels = 1; levels <= layout::kMaxLevels; ++levels) {
    TestPool pool(64);
    pool.make_space(kSpace, levels);
    const uint64_t last = layout::max_pages_for(levels) - 1;
    for (const uint64_t page : {uint64_t{0}, last, last / 2 + 3}) {
      const auto written = write_pages(pool, kSpace, page, 1, levels);
      REQUIRE(written.status == Status::kOk);
      CHECK(written.results[kWriteMissing] == 0);
      CHECK(written.results[kWriteReason] == 0);
      const auto read = read_pages(pool, kSpace, page, 1);
      REQUIRE(read.outcome.status == Status::kOk);
      CHECK(read.outcome.results[kReadPresent] == 1);
      CHECK(read.outcome.reply_bytes == kPageSize);
      CHECK(is_page(read.bytes.data(), page, levels));
      CHECK(run(pool, kSpace, "pt_walk", {page}).results[kWalkEntry] ==
            walk(pool.bytes(), pool.space(kSpace), {page}).entry);
    }
    CHECK(pool.space(kSpace).pages == 3);
    require_sound(pool.bytes());
  }
}

TEST_CASE("pages come back packed in ascending order, absent ones left out") {
  TestPool pool(200);
  pool.make_space(kSpace, 4);
  const uint64_t first = 500;  // so that the batch spans two leaf tables
  const uint64_t stored = 0xf0f0'0000'8000'0001, asked = 0xffff'0000'ffff'0003;
  REQUIRE(write_pages(pool, kSpace, first, stored, 9).results[kWriteMissing] == 0);
  const auto read = read_pages(pool, kSpace, first, asked);
  REQUIRE(read.outcome.status == Status::kOk);
  CHECK(read.outcome.results[kReadPresent] == (stored & asked));
  size_t offset = 0;
  for (uint64_t rest = stored & asked; rest != 0; rest &= rest - 1, offset += kPageSize)
    CHECK(is_page(read.bytes.data() + offset, first + static_cast<uint64_t>(__builtin_ctzll(rest)),
                  9));
  CHECK(read.outcome.reply_bytes == offset);
  require_sound(pool.bytes());
}

TEST_CASE("an empty space reads as absent everywhere and costs no walk") {
  TestPool pool(4);
  pool.make_space(kSpace, 4);
  const auto read = read_pages(pool, kSpace, 12345, ~uint64_t{0});
  CHECK(read.outcome.status == Status::kOk);
  CHECK(read.outcome.results[kReadPresent] == 0);
  CHECK(read.outcome.reply_bytes == 0);
  CHECK(run(pool, kSpace, "pt_walk", {77}).results[kWalkEntry] == 0);
  const auto stat = run(pool, kSpace, "pt_stat", {0, 1000});
  CHECK(stat.results[kStatPresent] == 0);
  CHECK(stat.results[kStatNext] == 1000);
}

TEST_CASE("neighbours in one leaf table are not walked to again") {
  TestPool pool(100);
  pool.make_space(kSpace, 4);
  write_pages(pool, kSpace, 64, ~uint64_t{0}, 1);
  const auto read = read_pages(pool, kSpace, 64, ~uint64_t{0});
  // max_pages, root and levels; three tables above the leaf once; one leaf entry a page.
  CHECK(read.outcome.counts.loads == 2 + 2 + 2 * 3 + 2 * 64);  // each entry, and the generation after it
  const auto rewritten = write_pages(pool, kSpace, 64, ~uint64_t{0}, 2);
  // The same and the first page's leaf entry; no allocation, so no atomics.
  CHECK(rewritten.counts.loads == 4 + 4 + 63);
  CHECK(rewritten.counts.atomics == 0);
}

TEST_CASE("a page number at or above the space's limit is refused before anything happens") {
  TestPool pool(16);
  pool.make_space(kSpace, 3, 1000);
  const auto reason = static_cast<uint16_t>(layout::FailReason::kPageRange);
  const auto write = write_pages(pool, kSpace, 990, uint64_t{1} << 10 | 1, 1);
  CHECK(write.status == Status::kFailed);
  CHECK(write.code == reason);
  CHECK(pool.alloc().in_use == 0);
  CHECK(read_pages(pool, kSpace, 1000, 1).outcome.code == reason);
  CHECK(run(pool, kSpace, "pt_walk", {1000}).code == reason);
  CHECK(run(pool, kSpace, "pt_discard", {999, 2}).code == reason);
  CHECK(run(pool, kSpace, "pt_discard", {1000, 1}).code == reason);
  CHECK(run(pool, kSpace, "pt_stat", {0, 1001}).code == reason);
  CHECK(write_pages(pool, kSpace, 990, uint64_t{1} << 9, 1).status == Status::kOk);
  require_sound(pool.bytes());
}

TEST_CASE("arguments outside the contract never reach the program") {
  TestPool pool(16);
  pool.make_space(kSpace, 4);
  CHECK(run(pool, kSpace, "pt_read", {0, 0}).status == Status::kRefused);
  CHECK(run(pool, kSpace, "pt_read", {uint64_t{1} << 45, 1}).status == Status::kRefused);
  CHECK(run(pool, kSpace, "pt_read", {0}).status == Status::kRefused);
  CHECK(run(pool, kSpace, "pt_discard", {0, 0}).status == Status::kRefused);
}

TEST_CASE("a payload that is not a page for each bit is refused before anything happens") {
  TestPool pool(16);
  pool.make_space(kSpace, 4);
  std::vector<std::byte> payload(2 * kPageSize);
  for (const size_t bytes : {size_t{0}, kPageSize, 2 * kPageSize - 1}) {
    const auto outcome = run(pool, kSpace, "pt_write", {0, 3}, std::span(payload).first(bytes));
    CHECK(outcome.status == Status::kFailed);
    CHECK(outcome.code == static_cast<uint16_t>(layout::FailReason::kPayloadSize));
  }
  CHECK(run(pool, kSpace, "pt_write", {0, 1}, payload).status == Status::kFailed);
  CHECK(pool.alloc().never_used == layout::kFirstDataFrame);
  require_sound(pool.bytes());
}

TEST_CASE("a full pool stores what fits and says what is missing") {
  TestPool pool(4 + 10);  // four tables, ten pages
  pool.make_space(kSpace, 4);
  const auto written = write_pages(pool, kSpace, 0, 0xffff, 1);
  REQUIRE(written.status == Status::kOk);
  CHECK(written.results[kWriteMissing] == 0xfc00);
  CHECK(written.results[kWriteReason] == reason_word(layout::FailReason::kNoMemory));
  require_sound(pool.bytes());
  const auto read = read_pages(pool, kSpace, 0, 0xffff);
  CHECK(read.outcome.results[kReadPresent] == 0x03ff);
  for (uint64_t page = 0; page < 10; ++page)
    CHECK(is_page(read.bytes.data() + page * kPageSize, page, 1));

  // Pages that have a frame can still be rewritten; freed frames serve the others.
  CHECK(write_pages(pool, kSpace, 0, 0x03ff, 2).results[kWriteMissing] == 0);
  CHECK(run(pool, kSpace, "pt_discard", {0, 6}).results[kDiscarded] == 6);
  CHECK(write_pages(pool, kSpace, 10, 0x3f, 3).results[kWriteMissing] == 0);
  CHECK(write_pages(pool, kSpace, 0, 1, 3).results[kWriteMissing] == 1);
  require_sound(pool.bytes());
}

TEST_CASE("a pool too small for one walk's tables loses no frame") {
  TestPool pool(3);
  pool.make_space(kSpace, 5);
  CHECK(write_pages(pool, kSpace, 1, 1, 1).results[kWriteReason] ==
        reason_word(layout::FailReason::kNoMemory));
  CHECK(pool.space(kSpace).tables == 3);
  require_sound(pool.bytes());
}

TEST_CASE("a table made from a recycled frame holds no old entries") {
  TestPool pool(100);
  pool.make_space(kSpace, 4);
  write_pages(pool, kSpace, 0, ~uint64_t{0}, 1);
  CHECK(run(pool, kSpace, "pt_discard", {0, 512}).results[kDiscarded] == 64);
  const uint64_t far = uint64_t{5} << 27;  // three new tables, all recycled
  CHECK(write_pages(pool, kSpace, far, 1, 2).results[kWriteMissing] == 0);
  CHECK(read_pages(pool, kSpace, far, ~uint64_t{0}).outcome.results[kReadPresent] == 1);
  require_sound(pool.bytes());
}

TEST_CASE("a discard stops at the end of a leaf table and leaps over missing tables") {
  TestPool pool(100);
  pool.make_space(kSpace, 4);
  const uint64_t limit = layout::max_pages_for(4);
  auto whole = run(pool, kSpace, "pt_discard", {0, limit});
  CHECK(whole.results[kDiscardNext] == limit);  // no root
  write_pages(pool, kSpace, 510, 0xf, 1);       // 510 to 513: two leaf tables
  const auto first = run(pool, kSpace, "pt_discard", {100, limit - 100});
  CHECK(first.results[kDiscarded] == 2);
  CHECK(first.results[kDiscardNext] == 512);
  const auto second = run(pool, kSpace, "pt_discard", {512, 2});
  CHECK(second.results[kDiscarded] == 2);
  CHECK(second.results[kDiscardNext] == 514);
  CHECK(run(pool, kSpace, "pt_discard", {1024, limit - 1024}).results[kDiscardNext] ==
        1536);  // a leaf is missing
  CHECK(pool.space(kSpace).pages == 0);
  require_sound(pool.bytes());
}

TEST_CASE("the leap over a missing table is as long as what the table would have held") {
  TestPool pool(16);
  pool.make_space(kSpace, 4);
  write_pages(pool, kSpace, 0, 1, 1);
  const uint64_t limit = layout::max_pages_for(4);
  for (uint32_t level = 1; level <= 3; ++level) {
    const uint64_t span = uint64_t{1} << (9 * level);  // of one entry at this height
    const uint64_t start = 3 * span + 5;
    for (const char* name : {"pt_discard", "pt_stat"}) {
      const auto outcome = run(pool, kSpace, name, {start, limit - start});
      CHECK(outcome.results[0] == 0);
      CHECK(outcome.results[1] == 4 * span);
      CHECK(run(pool, kSpace, name, {start, 7}).results[1] == start + 7);
    }
  }
}

TEST_CASE("pt_stat counts pages of a leaf table and of the space") {
  TestPool pool(100);
  pool.make_space(kSpace, 3);
  write_pages(pool, kSpace, 10, 0x5555, 1);
  const auto part = run(pool, kSpace, "pt_stat", {12, 4});
  CHECK(part.results[kStatPresent] == 2);
  CHECK(part.results[kStatNext] == 16);
  CHECK(part.results[kStatPages] == 8);
  CHECK(part.results[kStatTables] == 3);
  CHECK(run(pool, kSpace, "pt_stat", {0, 10000}).results[kStatPresent] == 8);
}

TEST_CASE("an entry that points out of the pool is a fault, not a read of something else") {
  TestPool pool(16);
  pool.make_space(kSpace, 2);
  write_pages(pool, kSpace, 0, 1, 1);
  const uint64_t leaf = walk(pool.bytes(), pool.space(kSpace), {0}).leaf_table >> kPageShift;
  pool.entry(leaf, 1) = layout::entry_of(pool.frames());
  CHECK(read_pages(pool, kSpace, 1, 1).outcome.status == Status::kFault);
  pool.entry(layout::frame_of(pool.space(kSpace).root), 1) = uint64_t{1} << 60;
  CHECK(read_pages(pool, kSpace, 512, 1).outcome.status == Status::kFault);
}

// Pages of zeros but for pointers.
void write_links(TestPool& pool, uint64_t page, std::initializer_list<std::pair<size_t, uint64_t>> links) {
  std::vector<std::byte> payload(kPageSize);
  for (const auto& [at, value] : links) memcpy(payload.data() + at, &value, sizeof value);
  REQUIRE(run(pool, kSpace, "pt_write", {page, 1}, payload).status == Status::kOk);
}

std::vector<uint64_t> chased(TestPool& pool, std::vector<uint64_t> arguments) {
  std::vector<std::byte> reply(kReplyRoom);
  const auto outcome = run(pool, kSpace, "pt_chase", std::move(arguments), {}, reply);
  REQUIRE(outcome.status == Status::kOk);
  REQUIRE(outcome.reply_bytes == outcome.results[kChasePages] * sizeof(ChasedPage));
  std::vector<uint64_t> pages;
  for (uint64_t i = 0; i < outcome.results[kChasePages]; ++i) {
    const auto* entry = reinterpret_cast<const ChasedPage*>(reply.data()) + i;
    const auto alone = read_pages(pool, kSpace, entry->number, 1);
    CHECK(memcmp(entry->bytes, alone.bytes.data(), kPageSize) == 0);
    pages.push_back(entry->number);
  }
  return pages;
}

TEST_CASE("a chase brings the pages that a chain of pointers leads to, in its order") {
  TestPool pool(64);
  pool.make_space(kSpace, 4, 1000);
  constexpr uint64_t kBase = 0x7f12'3456'7000;
  const auto at = [](uint64_t page, uint64_t offset) { return kBase + (page << kPageShift) + offset; };
  // Objects with a pointer at 8: 5 -> 700 -> 700 (same page) -> 6 -> null.
  write_links(pool, 5, {{72, at(700, 128)}});
  write_links(pool, 700, {{136, at(700, 256)}, {264, at(6, 0)}});
  write_links(pool, 6, {{8, 0}});
  const uint64_t link = (uint64_t{5} << kPageShift) + 72;
  CHECK(chased(pool, {5, link, kBase, 8, 33}) == std::vector<uint64_t>{5, 700, 6});
  CHECK(chased(pool, {5, link, kBase, 8, 1}) == std::vector<uint64_t>{5});
  CHECK(chased(pool, {5, link, kBase, 8, 3}) == std::vector<uint64_t>{5, 700});
  CHECK(chased(pool, {5, link, kBase, 8, 4}) == std::vector<uint64_t>{5, 700, 6});
  CHECK(chased(pool, {7, uint64_t{7} << kPageShift, kBase, 8, 4}).empty());  // absent
  SECTION("and ends where a pointer leads out of the space, to an absent page, or is not aligned") {
    for (const uint64_t pointer : {kBase - 8, at(1000, 0), at(999, 0), at(700, 3), uint64_t{1}, ~uint64_t{0}}) {
      write_links(pool, 5, {{72, pointer}});
      const auto pages = chased(pool, {5, link, kBase, 8, 33});
      CHECK(pages.front() == 5);
      CHECK(pages.size() == (pointer == at(700, 3) ? 2 : 1));
    }
    // The pointer itself is not in the page, or not aligned.
    CHECK(chased(pool, {5, (uint64_t{6} << kPageShift) + 8, kBase, 8, 33}) == std::vector<uint64_t>{5});
    CHECK(chased(pool, {5, link + 4, kBase, 8, 33}) == std::vector<uint64_t>{5});
  }
  SECTION("and goes round a ring as often as it may look") {
    write_links(pool, 5, {{72, at(6, 0)}});
    write_links(pool, 6, {{8, at(5, 64)}});
    CHECK(chased(pool, {5, link, kBase, 8, 5}) == std::vector<uint64_t>{5, 6, 5, 6, 5});
  }
  const auto reason = static_cast<uint16_t>(layout::FailReason::kPageRange);
  CHECK(run(pool, kSpace, "pt_chase", {1000, 0, kBase, 8, 1}).code == reason);
  CHECK(run(pool, kSpace, "pt_chase", {5, link, kBase, 8, 34}).status == Status::kRefused);
  require_sound(pool.bytes());
}

TEST_CASE("spaces do not see each other's pages") {
  TestPool pool(64);
  pool.make_space(1, 4);
  pool.make_space(2, 2);
  write_pages(pool, 1, 7, 1, 11);
  write_pages(pool, 2, 7, 1, 22);
  CHECK(is_page(read_pages(pool, 1, 7, 1).bytes.data(), 7, 11));
  CHECK(is_page(read_pages(pool, 2, 7, 1).bytes.data(), 7, 22));
  run(pool, 1, "pt_discard", {7, 1});
  CHECK(read_pages(pool, 1, 7, 1).outcome.results[kReadPresent] == 0);
  CHECK(is_page(read_pages(pool, 2, 7, 1).bytes.data(), 7, 22));
  require_sound(pool.bytes());
}

TEST_CASE("no run goes beyond the bounds that were proved") {
  TestPool pool(200);
  pool.make_space(kSpace, 5);
  const auto within = [](const nic::Outcome& outcome, const char* name) {
    const nic::Bounds& bounds = builtin(name).bounds();
    CHECK(outcome.counts.steps <= bounds.steps);
    CHECK(outcome.counts.loads <= bounds.loads);
    CHECK(outcome.counts.stores <= bounds.stores);
    CHECK(outcome.counts.atomics <= bounds.atomics);
    CHECK(outcome.counts.bytes_moved <= bounds.bytes_moved);
    CHECK(outcome.reply_bytes <= bounds.reply_bytes);
  };
  within(write_pages(pool, kSpace, 480, ~uint64_t{0}, 1), "pt_write");
  within(read_pages(pool, kSpace, 480, ~uint64_t{0}).outcome, "pt_read");
  std::vector<std::byte> chain(kReplyRoom);
  within(run(pool, kSpace, "pt_chase", {480, uint64_t{480} << kPageShift, 0, 0, 33}, {}, chain), "pt_chase");
  within(run(pool, kSpace, "pt_stat", {0, 512}), "pt_stat");
  within(run(pool, kSpace, "pt_discard", {0, 512}), "pt_discard");
  CHECK(builtin("pt_read").bounds().reply_bytes == nic::pool::kEntriesPerTable / 8 * kPageSize);
  CHECK(builtin("pt_write").bounds().reply_bytes == 0);
}

TEST_CASE("the page-table sources state the bounds that are proved") {
  for (const nic::BuiltinOperator& each : builtin_operators()) {
    INFO(each.name);
    const std::string path =
        std::string(TIARA_SOURCE_ROOT "/pagetable/") + std::string(each.name) + ".tiara";
    CHECK(nic::operators::compare_with_source(path, builtin(each.name).bounds()) == "");
  }
}

}  // namespace
}  // namespace tiara::pagetable
