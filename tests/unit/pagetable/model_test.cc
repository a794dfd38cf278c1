// Random calls against a plain map, alone and from many threads; the checker has the last word.
#include <array>
#include <catch2/catch.hpp>
#include <map>
#include <random>
#include <thread>

#include "tests/unit/pagetable/operators.h"
#include "tests/unit/pagetable/soundness.h"

namespace tiara::pagetable {
namespace {

namespace layout = nic::pool;
using nic::Status;

constexpr uint32_t kSpace = 0;

// Pages of one thread: those whose number is `thread` modulo `threads`, so that all threads meet in
// every table. The numbers cluster in a few places, far apart, to use every level.
class Actor {
 public:
  Actor(TestPool& pool, uint32_t levels, uint32_t thread, uint32_t threads, uint64_t seed)
      : pool_(pool),
        max_pages_(layout::max_pages_for(levels)),
        thread_(thread),
        threads_(threads),
        random_(seed) {
    for (uint64_t owned = thread; owned < 64; owned += threads) mask_ |= uint64_t{1} << owned;
  }

  // Empty when all went as the model says.
  std::string step() {
    switch (random_() % 8) {
      case 0:
      case 1:
      case 2: return write();
      case 3:
      case 4:
      case 5: return read();
      case 6: return discard();
      default: return stat();
    }
  }
  std::string read_everything() {
    for (const auto& [page, version] : model_) {
      const auto got = read_pages(pool_, kSpace, page, 1);
      if (got.outcome.results[kReadPresent] != 1 || !is_page(got.bytes.data(), page, version))
        return "lost page";
    }
    return {};
  }
  size_t pages() const { return model_.size(); }
  uint64_t full_answers() const { return full_answers_; }

 private:
  // Batches start at multiples of 64, so that bit i of a bitmap belongs to thread i modulo threads.
  uint64_t pick_first() {
    const uint64_t batches = max_pages_ / 64;
    const uint64_t cluster = random_() % 5 * (batches / 5);
    return std::min(cluster + random_() % 12, batches - 1) * 64;
  }
  uint64_t pick_bitmap() {
    const uint64_t bits = random_() % 3 == 0 ? random_() : random_() & random_() & random_();
    return (bits & mask_) != 0 ? bits & mask_ : uint64_t{1} << thread_;
  }

  std::string write() {
    const uint64_t first = pick_first(), bitmap = pick_bitmap(),
                   version = ++version_ * threads_ + thread_;
    const auto outcome = write_pages(pool_, kSpace, first, bitmap, version);
    if (outcome.status != Status::kOk) return "write did not end";
    const uint64_t missing = outcome.results[kWriteMissing];
    if ((missing & ~bitmap) != 0) return "write misses a page that was not asked for";
    if ((missing == 0) != (outcome.results[kWriteReason] == 0)) return "write has no reason";
    if (missing != 0) ++full_answers_;
    for (uint64_t rest = bitmap & ~missing; rest != 0; rest &= rest - 1)
      model_[first + static_cast<uint64_t>(__builtin_ctzll(rest))] = version;
    return {};
  }
  std::string read() {
    const uint64_t first = pick_first(), bitmap = pick_bitmap();
    const auto got = read_pages(pool_, kSpace, first, bitmap);
    if (got.outcome.status != Status::kOk) return "read did not end";
    size_t offset = 0;
    for (uint64_t rest = bitmap; rest != 0; rest &= rest - 1) {
      const uint64_t page = first + static_cast<uint64_t>(__builtin_ctzll(rest));
      const auto known = model_.find(page);
      const bool is_present = (got.outcome.results[kReadPresent] & rest & -rest) != 0;
      if (is_present != (known != model_.end())) return "presence is wrong";
      if (!is_present) continue;
      if (!is_page(got.bytes.data() + offset, page, known->second)) return "content is wrong";
      offset += kPageSize;
    }
    return got.outcome.reply_bytes == offset ? std::string() : "reply length is wrong";
  }
  // One page alone when others own its neighbours; a range otherwise.
  std::string discard() {
    uint64_t next = pick_first() + thread_;
    const uint64_t count = threads_ == 1 ? 1 + random_() % 700 : 1;
    const uint64_t end = std::min(next + count, max_pages_);
    while (next < end) {
      const auto outcome = run(pool_, kSpace, "pt_discard", {next, end - next});
      if (outcome.status != Status::kOk) return "discard did not end";
      if (outcome.results[kDiscardReason] != 0) return "discard was contended";
      const uint64_t reached = outcome.results[kDiscardNext];
      if (reached <= next || reached > end) return "discard went nowhere";
      uint64_t dropped = 0;
      for (auto it = model_.lower_bound(next); it != model_.end() && it->first < reached; ++dropped)
        it = model_.erase(it);
      if (outcome.results[kDiscarded] != dropped) return "discard counted wrong";
      next = reached;
    }
    return {};
  }
  std::string stat() {
    if (threads_ != 1) return {};
    const uint64_t first = pick_first(),
                   count = std::min<uint64_t>(1 + random_() % 600, max_pages_ - first);
    const auto outcome = run(pool_, kSpace, "pt_stat", {first, count});
    const auto here = static_cast<uint64_t>(
        std::distance(model_.lower_bound(first), model_.lower_bound(outcome.results[kStatNext])));
    if (outcome.results[kStatPresent] != here) return "stat counted wrong";
    return outcome.results[kStatPages] == model_.size() ? std::string()
                                                        : "the space's count is wrong";
  }

  TestPool& pool_;
  uint64_t max_pages_;
  uint32_t thread_, threads_;
  std::mt19937_64 random_;
  uint64_t mask_ = 0;
  uint64_t version_ = 0;
  uint64_t full_answers_ = 0;
  std::map<uint64_t, uint64_t> model_;
};

TEST_CASE("random calls do what a map does, at every depth") {
  for (uint32_t levels = 1; levels <= layout::kMaxLevels; ++levels) {
    TestPool pool(900);
    pool.make_space(kSpace, levels);
    Actor actor(pool, levels, 0, 1, 40 + levels);
    for (uint64_t i = 0; i < steps_of(1500); ++i) {
      const std::string wrong = actor.step();
      INFO("levels " << levels << ", step " << i);
      REQUIRE(wrong == "");
      if (i % 250 == 0) CHECK(require_sound(pool.bytes()).pages == actor.pages());
    }
    CHECK(actor.read_everything() == "");
    CHECK(require_sound(pool.bytes()).pages == actor.pages());
  }
}

TEST_CASE("a pool that is always nearly full loses nothing") {
  TestPool pool(120);
  pool.make_space(kSpace, 4);
  Actor actor(pool, 4, 0, 1, 7);
  for (uint64_t i = 0; i < steps_of(3000); ++i) REQUIRE(actor.step() == "");
  CHECK(actor.full_answers() >= steps_of(11));
  CHECK(actor.read_everything() == "");
  CHECK(require_sound(pool.bytes()).pages == actor.pages());
}

// Every call is checked against the thread's own map; tables, frames and counters are shared by
// all.
void run_threads(uint32_t levels, uint64_t data_frames, uint64_t steps) {
  constexpr uint32_t kThreads = 4;
  TestPool pool(data_frames);
  pool.make_space(kSpace, levels);
  builtin("pt_read");
  std::array<std::string, kThreads> wrong;
  std::vector<Actor> actors;
  for (uint32_t i = 0; i < kThreads; ++i)
    actors.emplace_back(pool, levels, i, kThreads, levels * 100 + i);
  {
    std::vector<std::jthread> threads;
    for (uint32_t i = 0; i < kThreads; ++i)
      threads.emplace_back([&, i] {
        for (uint64_t n = 0; n < steps && wrong[i].empty(); ++n) wrong[i] = actors[i].step();
        if (wrong[i].empty()) wrong[i] = actors[i].read_everything();
      });
  }
  size_t pages = 0;
  for (uint32_t i = 0; i < kThreads; ++i) {
    INFO("levels " << levels << ", thread " << i);
    CHECK(wrong[i] == "");
    pages += actors[i].pages();
  }
  CHECK(require_sound(pool.bytes()).pages == pages);
}

TEST_CASE("threads on one space and one pool do not disturb each other") {
  for (uint32_t levels = 1; levels <= layout::kMaxLevels; ++levels) run_threads(levels, 4000, steps_of(400));
}

TEST_CASE("threads that fight for the last frames lose none of them") {
  run_threads(4, 150, steps_of(1200));
}

}  // namespace
}  // namespace tiara::pagetable
