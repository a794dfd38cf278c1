// The whole pager on a fake kernel and a fake node, against a plain map of what each page must hold.
//
// One seed is one run (of the single-threaded cases). Replay: TIARA_MODEL_SEED=N build/tests/model/model_pager.
#include <catch2/catch.hpp>
#include <cstdlib>
#include <iostream>
#include <map>
#include <memory>
#include <random>
#include <thread>

#include "runtime/residency/pager.h"
#include "tests/support/array_page_store.h"
#include "tests/support/fake_kernel.h"

using namespace tiara;
using namespace tiara::residency;
using fault::PageState;
using tiara::testing::ArrayPageStore;
using tiara::testing::FakeKernel;

namespace {

constexpr uint64_t kPages = 512;
constexpr uint32_t kSlots = 32;
constexpr size_t kLastWord = kPageSize - 8;

uint64_t seed_of_run() {
  const char* text = getenv("TIARA_MODEL_SEED");
  return text != nullptr ? strtoull(text, nullptr, 0) : 20260713;
}

struct World {
  explicit World(PagerOptions chosen, ArrayPageStore::Kind kind = ArrayPageStore::Kind::kSynchronous,
                 uint32_t refusals = 50)
      : options(chosen), store(PageCount{kPages}, kind),
        kernel(kPages, kSlots, directory_cluster_pages(options.evict_cluster), refusals),
        pager(*Pager::create_memory(PageCount{kPages}, options), kernel, store, stats, options) {}

  void write(PageNumber page, uint64_t value) {
    while (!kernel.program_write(page, 0, value)) (void)pager.resolve(page);
    while (!kernel.program_write(page, kLastWord, value)) (void)pager.resolve(page);
  }
  // The page's value; both of its words must agree.
  uint64_t read(PageNumber page) {
    uint64_t first = 0;
    uint64_t last = 0;
    while (!kernel.program_read(page, 0, first)) (void)pager.resolve(page);
    while (!kernel.program_read(page, kLastWord, last)) (void)pager.resolve(page);
    REQUIRE(first == last);
    return first;
  }
  // What must hold whenever nothing is in flight.
  void check_quiescent() {
    const stats::Counters& counters = stats.counters;
    auto& directory = pager.parts().directory;
    uint64_t far = 0;
    for (uint64_t page = 0; page < kPages; ++page) {
      const fault::PageWord word = fault::load(directory.word(PageNumber{page}));
      REQUIRE_FALSE(word.has(fault::kBusy | fault::kWriting));
      far += word.state() != PageState::kUntouched;
      if (word.state() == PageState::kRemote) REQUIRE(word.has(fault::kHasFrame));
      REQUIRE(store.is_present(PageNumber{page}) == word.has(fault::kHasFrame));
      REQUIRE((word.state() == PageState::kResident) == kernel.is_mapped(PageNumber{page}));
    }
    REQUIRE(far == counters.far_pages.load());
    REQUIRE(directory.count(PageState::kResident) == counters.resident_pages.load());
    REQUIRE(directory.count(PageState::kRemote) == counters.remote_pages.load());
    REQUIRE(kernel.staged_pages() + pager.parts().staging.copies() == counters.staged_pages.load());
    REQUIRE(directory.count(PageState::kWritingBack) == 0);
    REQUIRE(directory.count(PageState::kFetching) == 0);
  }

  PagerOptions options;
  stats::ProcessStats stats{};
  ArrayPageStore store;
  FakeKernel kernel;
  Pager pager;
};

PagerOptions small_options() {
  PagerOptions options;
  options.local.bytes = Bytes{kPages / 8 * kPageSize};
  options.staging_slots = kSlots;
  return options;
}

// Random operations in one thread; `expected` is the plain map.
void run_against_map(World& world, uint64_t seed, int steps) {
  std::mt19937_64 random(seed);
  std::map<uint64_t, uint64_t> expected;
  std::map<uint32_t, PageRange> pins;
  const auto value_of = [&](uint64_t page) { return expected.contains(page) ? expected[page] : 0; };
  for (int step = 0; step < steps; ++step) {
    const PageNumber page{random() % kPages};
    const PageCount count{1 + random() % std::min<uint64_t>(40, kPages - page.value)};
    const PageRange range{page, count};
    INFO("seed " << seed << " step " << step << " page " << page.value);
    switch (random() % 16) {
      case 0: case 1: case 2: case 3:
        expected[page.value] = random() % 4 == 0 ? 0 : random();
        world.write(page, expected[page.value]);
        break;
      case 4: case 5: case 6: case 7: case 8:
        REQUIRE(world.read(page) == value_of(page.value));
        break;
      case 9:  // a stream
        for (PageNumber at = page; at < range.end(); at = at + PageCount{1})
          REQUIRE(world.read(at) == value_of(at.value));
        break;
      case 10:
        world.pager.discard(range, 0, 0);
        for (uint64_t at = page.value; at < range.end().value; ++at) expected.erase(at);
        break;
      case 11:
        world.pager.take_away_at_random(random(), PageCount{kPages});
        break;
      case 12:
        world.pager.serve_once();
        if (random() % 8 == 0) world.pager.drain_staging_for_testing();
        break;
      case 13:
        if (pins.size() < 3) {
          pins[world.pager.pin(range).slot.value] = range;
        } else {
          world.pager.unpin({pins.begin()->first});
          pins.erase(pins.begin());
        }
        break;
      case 14:
        if (random() % 2 == 0) world.pager.make_near(range);
        else world.pager.release_near({PageNumber{0}, PageCount{kPages}});
        break;
      default:
        world.pager.hold_still();
        REQUIRE(world.pager.parts().directory.count(PageState::kStaged) == 0);
        world.pager.resume();
        break;
    }
    for (const auto& [slot, pinned] : pins)
      for (PageNumber at = pinned.first; at < pinned.end(); at = at + PageCount{1})
        REQUIRE((world.kernel.is_mapped(at) || !expected.contains(at.value)));
  }
  for (const auto& [slot, pinned] : pins) world.pager.unpin({slot});
  for (uint64_t page = 0; page < kPages; ++page) REQUIRE(world.read(PageNumber{page}) == value_of(page));
  world.check_quiescent();
  world.pager.drain_staging_for_testing();
  world.check_quiescent();
  world.pager.discard({PageNumber{0}, PageCount{kPages}}, 0, fault::kNear);
  world.pager.drain_staging_for_testing();
  world.check_quiescent();
  REQUIRE(world.store.present_pages() == 0);
  REQUIRE(world.kernel.mapped_pages() == 0);
}

}  // namespace

TEST_CASE("every page holds what was last written to it, whatever happens to it") {
  const uint64_t seed = seed_of_run();
  std::cout << "seed " << seed << "; replay with TIARA_MODEL_SEED=" << seed << "\n";
  for (const uint32_t cluster : {1u, 4u, 16u, 64u}) {
    PagerOptions options = small_options();
    options.evict_cluster = cluster;
    World world(options);
    run_against_map(world, seed + cluster, 4000);
    CHECK(world.stats.counters.fetched_pages.load() > 0);
    CHECK(world.stats.counters.clean_drops.load() > 0);
    CHECK(world.stats.counters.zero_pages.load() > 0);
    CHECK(world.stats.counters.staging_hits.load() > 0);
    CHECK(world.stats.counters.evict_busy.load() > 0);
  }
}

TEST_CASE("the same holds without MOVE") {
  // Straight to a store that answers at once; by way of staging to one that makes its callers wait.
  for (const auto kind : {ArrayPageStore::Kind::kSynchronous, ArrayPageStore::Kind::kWaiting})
    for (const uint32_t cluster : {1u, 16u, 64u, 128u, 512u}) {
      PagerOptions options = small_options();
      options.unmap_by = UnmapBy::kCopy;
      options.evict_cluster = cluster;
      options.evict_on = EvictOn::kFaultingThread;
      World world(options, kind);
      run_against_map(world, seed_of_run() + 100 + cluster, 3000);
      CHECK(world.stats.counters.clean_drops.load() > 0);
      CHECK(world.stats.counters.zero_pages.load() > 0);
      const bool is_staged = kind == ArrayPageStore::Kind::kWaiting;
      CHECK((world.stats.counters.pages_staged.load() > 0) == is_staged);
      CHECK((world.stats.counters.pages_stored_directly.load() > 0) == !is_staged);
    }
}

TEST_CASE("the way pages leave can change while they do") {
  PagerOptions options = small_options();
  options.unmap_by = UnmapBy::kCopy;
  options.evict_on = EvictOn::kFaultingThread;
  World world(options, ArrayPageStore::Kind::kWaiting);
  run_against_map(world, seed_of_run() + 150, 1000);
  world.pager.unmap_by(UnmapBy::kMove);
  run_against_map(world, seed_of_run() + 151, 1000);
  world.pager.unmap_by(UnmapBy::kCopy);
  run_against_map(world, seed_of_run() + 152, 1000);
}

TEST_CASE("a node that is contended for a while costs nothing but time") {
  PagerOptions options = small_options();
  options.unmap_by = UnmapBy::kCopy;
  World world(options);
  world.store.contend_now_and_then();
  run_against_map(world, seed_of_run() + 160, 3000);
}

TEST_CASE("the same holds under every eviction policy") {
  for (const auto policy : {EvictionPolicy::kFifo, EvictionPolicy::kS3Fifo}) {
    PagerOptions options = small_options();
    options.policy = policy;
    options.readahead = false;
    World world(options);
    run_against_map(world, seed_of_run() + 300 + static_cast<uint64_t>(policy), 6000);
  }
}

TEST_CASE("the same holds with each optimisation off, and with a store that makes its callers wait") {
  for (uint64_t variant = 0; variant < 4; ++variant) {
    PagerOptions options = small_options();
    options.second_chance = variant != 0;
    options.write_back.clean_detection = variant != 1;
    options.write_back.zero_detection = variant != 2;
    options.evict_on = EvictOn::kFaultingThread;
    World world(options, variant == 3 ? ArrayPageStore::Kind::kWaiting : ArrayPageStore::Kind::kSynchronous);
    run_against_map(world, seed_of_run() + 200 + variant, 3000);
    if (variant == 1) CHECK(world.stats.counters.clean_drops.load() == 0);
    if (variant == 2) CHECK(world.stats.counters.zero_pages.load() == 0);
  }
}

TEST_CASE("the budget holds after every fault") {
  World world(small_options(), ArrayPageStore::Kind::kSynchronous, 0);
  std::mt19937_64 random(seed_of_run());
  for (int step = 0; step < 5000; ++step) {
    world.write(PageNumber{random() % kPages}, random());
    const stats::Counters& counters = world.stats.counters;
    // One cluster may be on its way while the oldest staged pages are written.
    REQUIRE(counters.resident_pages.load() + counters.staged_pages.load() <= world.pager.budget().limit_pages() + 16);
  }
}

TEST_CASE("threads, eviction, write-back, discards and pins never mix up a page") {
  struct Variant {
    EvictOn evict_on;
    UnmapBy unmap_by;
    ArrayPageStore::Kind kind;
  };
  using enum ArrayPageStore::Kind;
  for (const auto& [evict_on, unmap_by, kind] : {Variant{EvictOn::kAuto, UnmapBy::kMove, kWaiting},
                                                 Variant{EvictOn::kDedicatedThread, UnmapBy::kMove, kWaiting},
                                                 Variant{EvictOn::kAuto, UnmapBy::kCopy, kWaiting},
                                                 Variant{EvictOn::kAuto, UnmapBy::kCopy, kSynchronous}}) {
    PagerOptions options = small_options();
    options.evict_on = evict_on;
    options.unmap_by = unmap_by;
    World world(options, kind);
    constexpr uint32_t kThreads = 4;
    constexpr int kSteps = 3000;
    std::atomic<bool> is_over{false};
    std::atomic<uint64_t> wrong{0};
    std::vector<std::thread> threads;
    for (uint32_t thread = 0; thread < kThreads; ++thread)
      threads.emplace_back([&, thread] {
        std::mt19937_64 random(seed_of_run() + thread);
        std::map<uint64_t, uint64_t> expected;
        for (int step = 0; step < kSteps; ++step) {
          // Neighbouring pages belong to different threads, so that clusters are shared and pages are not.
          const PageNumber page{(random() % (kPages / kThreads)) * kThreads + thread};
          const uint64_t value = expected.contains(page.value) ? expected[page.value] : 0;
          switch (random() % 8) {
            case 0: case 1: case 2:
              expected[page.value] = random();
              world.write(page, expected[page.value]);
              break;
            case 3:
              world.pager.discard({page, PageCount{1}}, 0, 0);
              expected.erase(page.value);
              break;
            case 4: {
              const PinSlot pin = world.pager.pin({page, PageCount{1}}).slot;
              uint64_t seen = 0;
              // The kernel's access: no fault is allowed.
              if (!world.kernel.program_read(page, 0, seen) || seen != value) ++wrong;
              world.pager.unpin(pin);
              break;
            }
            default: {
              uint64_t first = 0;
              while (!world.kernel.program_read(page, 0, first)) (void)world.pager.resolve(page);
              if (first != value) ++wrong;
            }
          }
        }
      });
    std::thread service([&] {
      while (!is_over) {
        world.pager.wait_for_work(std::chrono::milliseconds(1));
        world.pager.serve_once();
      }
    });
    std::thread chaos([&] {
      std::mt19937_64 random(seed_of_run());
      for (int round = 0; !is_over; ++round) {
        world.pager.take_away_at_random(random(), PageCount{kPages});
        if (round % 64 == 0) {
          world.pager.hold_still();
          world.pager.resume();
        }
        std::this_thread::yield();
      }
    });
    for (auto& thread : threads) thread.join();
    is_over = true;
    service.join();
    chaos.join();
    CHECK(wrong == 0);
    world.check_quiescent();
  }
}

TEST_CASE("a fetch that follows links brings the chain in one call, and nothing that has changed since") {
  PagerOptions options = small_options();
  options.readahead = false;
  World world(options, ArrayPageStore::Kind::kSynchronous, 0);
  constexpr uint64_t kBase = 0x7f00'0000'0000;
  constexpr uint64_t kChain = 9, kStep = 37;  // page i leads to page i + 37
  const auto page_at = [](uint64_t i) { return PageNumber{3 + i * kStep}; };
  for (uint64_t i = 0; i <= kChain; ++i) world.write(page_at(i), kBase + (page_at(i + 1).value << kPageShift));
  const auto state = [&](uint64_t i) { return fault::load(world.pager.parts().directory.word(page_at(i))).state(); };
  uint64_t random = 1;
  for (uint64_t i = 0; i <= kChain; ++i)
    while (state(i) != PageState::kRemote) {
      random = random * 6364136223846793005u + 1442695040888963407u;
      world.pager.take_away_at_random(random, PageCount{kPages});
      world.pager.drain_staging_for_testing();
    }
  REQUIRE(world.pager.resolver().chases().add({kBase, 0, kPages << kPageShift, kPageSize, 0, kChain - 1}));
  // What the node has of one page is not what was stored there: it is left where it is.
  world.store.frame(page_at(4).value)[100] = std::byte{1};
  const uint64_t reads = world.store.reads;
  REQUIRE(world.pager.resolver().resolve(page_at(0), 8) == fault::Resolution::kMapped);
  CHECK(world.store.reads == reads + 1);
  CHECK(world.stats.counters.chase_outdated == 1);
  CHECK(world.stats.counters.chase_pages == kChain - 2);
  CHECK(state(4) == PageState::kRemote);
  CHECK(state(kChain) == PageState::kRemote);  // one hop too far
  world.store.frame(page_at(4).value)[100] = std::byte{0};
  for (uint64_t i = 0; i <= kChain; ++i) CHECK(world.read(page_at(i)) == kBase + (page_at(i + 1).value << kPageShift));
  world.check_quiescent();
}
