#include "nic/node/pool.h"

#include <algorithm>
#include <atomic>
#include <random>
#include <set>
#include <thread>

#include <catch2/catch.hpp>

#include "runtime/os/clock.h"

using namespace tiara;
using namespace tiara::nic;

namespace {

Pool make_pool(uint64_t frames, uint32_t levels = 4, PoolBacking backing = PoolBacking::kShared) {
  auto pool = Pool::create({Bytes{frames * kPageSize}, levels, backing});
  REQUIRE(pool);
  return std::move(*pool);
}

uint64_t* words(const Pool& pool, uint64_t frame) {
  return reinterpret_cast<uint64_t*>(pool.bytes().data() + (frame << kPageShift));
}

// What an operator does, without caring for anybody else: maps `page` to a fresh frame.
bool map_page(Pool& pool, pool::SpaceDescriptor& space, uint64_t page) {
  const auto take_zeroed = [&pool] {
    const uint64_t frame = pool.take_frame();
    if (frame != 0) std::fill_n(words(pool, frame), pool::kEntriesPerTable, 0);
    return frame;
  };
  if (space.root == 0 && (space.root = pool::entry_of(take_zeroed())) == 0) return false;
  uint64_t table = pool::frame_of(space.root);
  for (auto level = static_cast<uint32_t>(space.levels); level >= 1; level--) {
    uint64_t& entry = words(pool, table)[pool::entry_index(page, level)];
    if (entry == 0) {
      const uint64_t frame = take_zeroed();
      if (frame == 0) return false;
      entry = pool::entry_of(frame);
    }
    table = pool::frame_of(entry);
  }
  std::fill_n(words(pool, table), pool::kEntriesPerTable, page + 1);
  return true;
}

std::vector<uint64_t> take_all(Pool& pool) {
  std::vector<uint64_t> frames;
  while (const uint64_t frame = pool.take_frame()) frames.push_back(frame);
  return frames;
}

}  // namespace

TEST_CASE("every frame of a pool can be taken once, and none of the node's own") {
  Pool pool = make_pool(200);
  const auto frames = take_all(pool);
  CHECK(frames.size() == 200 - pool::kFirstDataFrame);
  CHECK(std::set(frames.begin(), frames.end()).size() == frames.size());
  CHECK(std::ranges::min(frames) == pool::kFirstDataFrame);
  CHECK(std::ranges::max(frames) == 199);
  CHECK(pool.stats().in_use == pool.stats().total);
  CHECK(pool.take_frame() == 0);
  for (const uint64_t frame : frames) pool.give_frame(frame);
  CHECK(pool.stats().in_use == PageCount{0});
  CHECK(pool.stats().never_used == PageCount{0});
  CHECK(take_all(pool).size() == frames.size());
}

TEST_CASE("a sparse pool of 64 GiB starts at once and costs nothing") {
  const auto backing = GENERATE(PoolBacking::kShared, PoolBacking::kPrivate);
  const auto start = os::monotonic_now();
  Pool pool = make_pool(64 * kGiB / kPageSize, 4, backing);
  CHECK(os::monotonic_now() - start < std::chrono::seconds(1));  // touching it all would take many
  CHECK(pool.take_frame() == pool::kFirstDataFrame);
  CHECK(pool.stats().never_used.value == pool.stats().total.value - 1);
}

TEST_CASE("a pool says why it cannot be made") {
  CHECK_FALSE(Pool::create({Bytes{kPageSize}, 4, PoolBacking::kShared}));
  CHECK_FALSE(Pool::create({Bytes{Pool::kMinFrames * kPageSize - 1}, 4, PoolBacking::kShared}));
  CHECK(Pool::create({Bytes{Pool::kMinFrames * kPageSize}, 4, PoolBacking::kShared}));
  CHECK_FALSE(Pool::create({Bytes{kGiB}, 0, PoolBacking::kShared}));
  CHECK_FALSE(Pool::create({Bytes{kGiB}, 6, PoolBacking::kShared}));
  CHECK_FALSE(Pool::create({Bytes{uint64_t{1} << 44}, 4, PoolBacking::kShared}));
  const auto automatic = Pool::create({});
  REQUIRE(automatic);
  CHECK(automatic->bytes().size() > 64 * kMiB);
}

TEST_CASE("threads that take and give frames never hold the same one") {
  Pool pool = make_pool(pool::kFirstDataFrame + 64);
  std::vector<std::atomic<uint32_t>> holders(pool::kFirstDataFrame + 64);
  std::atomic<uint32_t> shared{0};
  const auto work = [&](uint64_t seed) {
    std::mt19937_64 random(seed);
    std::vector<uint64_t> held;
    for (uint32_t i = 0; i < 20'000; i++) {
      if (random() % 2 == 0 && held.size() < 16) {
        const uint64_t frame = pool.take_frame();
        if (frame == 0) continue;
        if (holders[frame].fetch_add(1) != 0) shared++;
        // Old bytes must never be taken for a link. (Atomic: a thread whose pop is about to fail may still look.)
        std::atomic_ref(words(pool, frame)[0]).store(random(), std::memory_order_relaxed);
        held.push_back(frame);
      } else if (!held.empty()) {
        holders[held.back()].fetch_sub(1);
        pool.give_frame(held.back());
        held.pop_back();
      }
    }
    for (const uint64_t frame : held) {
      holders[frame].fetch_sub(1);
      pool.give_frame(frame);
    }
  };
  {
    std::vector<std::jthread> threads;
    for (uint64_t seed = 1; seed <= 4; seed++) threads.emplace_back(work, seed);
  }
  CHECK(shared == 0);
  CHECK(pool.stats().in_use == PageCount{0});
  CHECK(take_all(pool).size() == 64);
}

TEST_CASE("releasing a tree gives back every table and page, at any depth") {
  const uint32_t levels = GENERATE(1u, 2u, 3u, 4u, 5u);
  Pool pool = make_pool(4096, levels);
  auto& space = pool.descriptor(3);
  space = {.root = 0,
           .levels = levels,
           .max_pages = pool.max_pages(),
           .pages = 0,
           .tables = 0,
           .state = 1,
           .generation = 0,
           .self = 0};
  std::mt19937_64 random(levels);
  std::set<uint64_t> pages;
  for (uint32_t i = 0; i < 300; i++) pages.insert(random() % pool.max_pages());
  for (const uint64_t page : pages) REQUIRE(map_page(pool, space, page));
  const PageCount used = pool.stats().in_use;
  CHECK(used.value > pages.size());
  const Pool::Released released = pool.release_tree(space);
  CHECK(released.frames == used);
  CHECK(released.bad_entries == 0);
  CHECK(space.root == 0);
  CHECK(pool.stats().in_use == PageCount{0});
  CHECK(take_all(pool).size() == 4096 - pool::kFirstDataFrame);
}

TEST_CASE("a tree with entries that point nowhere loses those and nothing else") {
  Pool pool = make_pool(512);
  auto& space = pool.descriptor(0);
  space = {.root = 0, .levels = 4, .max_pages = pool.max_pages(), .pages = 0, .tables = 0, .state = 1, .generation = 0,
           .self = 0};
  REQUIRE(map_page(pool, space, 7));
  words(pool, pool::frame_of(space.root))[9] = pool::entry_of(512);
  words(pool, pool::frame_of(space.root))[10] = pool::entry_of(1);
  words(pool, pool::frame_of(space.root))[11] = ~uint64_t{0};
  const Pool::Released released = pool.release_tree(space);
  CHECK(released.frames == PageCount{5});
  CHECK(released.bad_entries == 3);
  CHECK(pool.stats().in_use == PageCount{0});
}
