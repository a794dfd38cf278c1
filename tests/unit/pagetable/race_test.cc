// Races, made to happen: an observer stands between two instructions of an operator and does what
// another call would have done there.
#include <catch2/catch.hpp>
#include <functional>

#include "nic/engine/interpret.h"
#include "pagetable/checker.h"
#include "pagetable/reference_walk.h"
#include "tests/unit/pagetable/operators.h"
#include "tests/unit/pagetable/soundness.h"

namespace tiara::pagetable {
namespace {

namespace layout = nic::pool;
using nic::Opcode;
using nic::Status;

constexpr uint32_t kSpace = 0;
constexpr uint8_t kPoolRegion = 0, kSpaceRegion = 1,
                  kAllocRegion = 2;  // of pt_write and pt_discard

using Meddler = std::function<void(const nic::Instruction& next)>;

nic::Outcome run_meddled(TestPool& pool, std::string_view name, std::vector<uint64_t> arguments,
                         std::span<const std::byte> payload, const Meddler& meddle) {
  const nic::RegionTable regions = pool.regions(kSpace);
  const nic::Program& program = builtin(name).program();
  nic::Machine machine{
      .regions = regions, .payload = payload, .reply = {}, .remote = nullptr, .scratchpad = {}};
  return nic::interpret(program.code, machine, arguments, builtin(name).bounds().steps,
                        [&](uint32_t pc, const nic::Registers&) { meddle(program.code[pc]); });
}

// What a pop and a push in between do to the head.
void advance_tag(TestPool& pool) {
  pool.alloc().head += uint64_t{1} << layout::kHeadTagShift;
}

std::vector<std::byte> one_page(uint64_t page, uint64_t version) {
  std::vector<std::byte> payload(kPageSize);
  fill_page(payload.data(), page, version);
  return payload;
}

// A pool whose frames have all been used: 64 of them free again, on the list.
void recycle_everything(TestPool& pool) {
  uint64_t page = 0;
  while (write_pages(pool, kSpace, page, 1, 1).results[kWriteMissing] == 0) ++page;
  run(pool, kSpace, "pt_discard", {0, page});
}

TEST_CASE("a write whose every try at the free list is lost takes frames that were never used") {
  TestPool pool(80);
  pool.make_space(kSpace, 3);
  write_pages(pool, kSpace, 0, 0xff, 1);
  run(pool, kSpace, "pt_discard", {0, 8});
  uint32_t tries = 0;
  const auto outcome =
      run_meddled(pool, "pt_write", {5, 1}, one_page(5, 2), [&](const nic::Instruction& next) {
        if (next.opcode != Opcode::kCas || next.region != kAllocRegion) return;
        ++tries;
        advance_tag(pool);
      });
  CHECK(tries == 64);
  CHECK(outcome.status == Status::kOk);
  CHECK(outcome.results[kWriteMissing] == 0);
  require_sound(pool.bytes());
}

TEST_CASE("a write that can get no frame for contention says so and changes nothing") {
  TestPool pool(80);
  pool.make_space(kSpace, 3);
  recycle_everything(pool);
  const uint64_t in_use = pool.alloc().in_use;
  const auto outcome =
      run_meddled(pool, "pt_write", {5, 1}, one_page(5, 2), [&](const nic::Instruction& next) {
        if (next.opcode == Opcode::kCas && next.region == kAllocRegion) advance_tag(pool);
      });
  CHECK(outcome.status == Status::kOk);
  CHECK(outcome.results[kWriteMissing] == 1);
  CHECK(outcome.results[kWriteReason] == reason_word(layout::FailReason::kContended));
  CHECK(pool.alloc().in_use == in_use);
  require_sound(pool.bytes());
  CHECK(write_pages(pool, kSpace, 5, 1, 3).results[kWriteMissing] == 0);
}

TEST_CASE("a discard that cannot give its frames back keeps them mapped") {
  TestPool pool(300);
  pool.make_space(kSpace, 2);
  write_pages(pool, kSpace, 100, 0xf00f, 1);
  const auto outcome =
      run_meddled(pool, "pt_discard", {0, 512}, {}, [&](const nic::Instruction& next) {
        if (next.opcode == Opcode::kCas && next.region == kAllocRegion) advance_tag(pool);
      });
  CHECK(outcome.status == Status::kOk);
  CHECK(outcome.results[kDiscarded] == 0);
  CHECK(outcome.results[kDiscardNext] == 0);
  CHECK(outcome.results[kDiscardReason] == reason_word(layout::FailReason::kContended));
  CHECK(read_pages(pool, kSpace, 100, 0xffff).outcome.results[kReadPresent] == 0xf00f);
  CHECK(require_sound(pool.bytes()).pages == 8);
  CHECK(run(pool, kSpace, "pt_discard", {0, 512}).results[kDiscarded] == 8);
  require_sound(pool.bytes());
}

TEST_CASE("who loses the race for a table goes on in the winner's and wastes no frame") {
  for (const uint8_t region : {kPoolRegion, kSpaceRegion}) {
    TestPool pool(64);
    pool.make_space(kSpace, 4);
    const uint64_t page = 1000, neighbour = 1001;
    if (region == kPoolRegion)
      write_pages(pool, kSpace, uint64_t{1} << 30, 1, 1);  // a root is there already
    bool has_meddled = false;
    const auto outcome = run_meddled(
        pool, "pt_write", {page, 1}, one_page(page, 2), [&](const nic::Instruction& next) {
          if (has_meddled || next.opcode != Opcode::kCas || next.region != region) return;
          has_meddled = true;
          write_pages(pool, kSpace, neighbour, 1, 3);  // makes the same tables, all of them
        });
    CHECK(has_meddled);
    CHECK(outcome.results[kWriteMissing] == 0);
    CHECK(is_page(read_pages(pool, kSpace, page, 1).bytes.data(), page, 2));
    CHECK(is_page(read_pages(pool, kSpace, neighbour, 1).bytes.data(), neighbour, 3));
    const CheckReport report = require_sound(pool.bytes());
    CHECK(report.free_frames == 0);  // the spare became the page
    CHECK(report.pages == (region == kPoolRegion ? 3 : 2));
  }
}

TEST_CASE("two writes of one page, against the rule, leave one content and no leak") {
  TestPool pool(64);
  pool.make_space(kSpace, 2);
  write_pages(pool, kSpace, 0, 1, 1);  // tables are there
  bool has_meddled = false;
  const auto outcome =
      run_meddled(pool, "pt_write", {9, 1}, one_page(9, 2), [&](const nic::Instruction& next) {
        if (has_meddled || next.opcode != Opcode::kCas || next.region != kPoolRegion) return;
        has_meddled = true;
        write_pages(pool, kSpace, 9, 1, 3);
      });
  CHECK(outcome.results[kWriteMissing] == 0);
  CHECK(is_page(read_pages(pool, kSpace, 9, 1).bytes.data(), 9, 2));
  const CheckReport report = require_sound(pool.bytes());
  CHECK(report.pages == 2);
  CHECK(report.free_frames == 1);
}

TEST_CASE("a free frame that was taken and given back in between is not popped twice") {
  TestPool pool(64);
  pool.make_space(kSpace, 2);
  write_pages(pool, kSpace, 0, 0xff, 1);
  run(pool, kSpace, "pt_discard", {0, 4});
  bool has_meddled = false;
  // Between the read of the next pointer and the swap: pop two, push the first: the head's frame is
  // the same again.
  const auto outcome =
      run_meddled(pool, "pt_write", {20, 1}, one_page(20, 2), [&](const nic::Instruction& next) {
        if (has_meddled || next.opcode != Opcode::kCas || next.region != kAllocRegion) return;
        has_meddled = true;
        const uint64_t head = pool.alloc().head;
        write_pages(pool, kSpace, 30, 3, 3);
        run(pool, kSpace, "pt_discard", {30, 1});
        CHECK((pool.alloc().head & layout::kHeadFrameMask) == (head & layout::kHeadFrameMask));
      });
  CHECK(has_meddled);
  CHECK(outcome.results[kWriteMissing] == 0);
  CHECK(is_page(read_pages(pool, kSpace, 31, 1).bytes.data(), 31, 3));
  CHECK(is_page(read_pages(pool, kSpace, 20, 1).bytes.data(), 20, 2));
  require_sound(pool.bytes());
}

}  // namespace
}  // namespace tiara::pagetable
