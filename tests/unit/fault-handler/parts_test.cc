#include <algorithm>
#include <bit>
#include <catch2/catch.hpp>
#include <csignal>
#include <cstring>
#include <set>
#include <thread>
#include <vector>

#include "fault-handler/number_ring.h"
#include "fault-handler/page_directory.h"
#include "fault-handler/readahead.h"
#include "fault-handler/reply_buffers.h"
#include "fault-handler/service_thread.h"
#include "fault-handler/staging.h"

using namespace tiara;
using namespace tiara::fault;

TEST_CASE("the ring gives numbers back in the order they came") {
  auto ring = *NumberRing::create(100);
  CHECK_FALSE(ring.try_pop());
  for (uint32_t i = 0; i < 100; ++i) ring.push(i);
  CHECK(ring.size() == 100);
  for (uint32_t i = 0; i < 100; ++i) CHECK(ring.try_pop() == i);
  CHECK_FALSE(ring.try_pop());
}

TEST_CASE("the ring goes round many times without growing") {
  auto ring = *NumberRing::create(8);
  for (uint32_t i = 0; i < 100'000; ++i) {
    ring.push(i % 8);
    REQUIRE(ring.try_pop() == i % 8);
  }
  CHECK(ring.size() == 0);
}

TEST_CASE("the ring hands every number to exactly one of many consumers") {
  constexpr uint32_t kNumbers = 40'000;
  auto ring = *NumberRing::create(kNumbers);
  std::vector<std::vector<uint32_t>> taken(3);
  std::vector<std::thread> threads;
  for (uint32_t part = 0; part < 2; ++part)
    threads.emplace_back([&, part] {
      for (uint32_t i = part; i < kNumbers; i += 2) ring.push(i);
    });
  std::atomic<uint32_t> total{0};
  for (auto& mine : taken)
    threads.emplace_back([&] {
      while (total.load() < kNumbers)
        if (const auto number = ring.try_pop()) {
          mine.push_back(*number);
          ++total;
        }
    });
  for (auto& thread : threads) thread.join();
  std::set<uint32_t> all;
  for (const auto& mine : taken) all.insert(mine.begin(), mine.end());
  CHECK(all.size() == kNumbers);
}

TEST_CASE("the directory costs at most 16 bytes a page") {
  for (const uint32_t cluster : {4u, 16u, 64u}) {
    constexpr uint64_t kPages = 64 * 1024;
    auto directory = *PageDirectory::create(PageCount{kPages}, cluster);
    CHECK(directory.resident_bytes().value == 0);
    for (uint64_t page = 0; page < kPages; ++page) {
      directory.word(PageNumber{page}).store(1);
      directory.hash(PageNumber{page}) = 1;
      directory.cluster(directory.cluster_of(PageNumber{page})).set_slot({0});
    }
    CHECK(directory.resident_bytes().value <= 16 * kPages);
    CHECK(directory.resident_bytes().value >= 12 * kPages);
  }
}

TEST_CASE("a cluster's slot, queue mark and lock do not disturb each other") {
  ClusterWord word;
  CHECK_FALSE(word.slot().is_valid());
  CHECK(word.try_lock());
  CHECK_FALSE(word.try_lock());
  CHECK(word.try_mark_queued());
  CHECK_FALSE(word.try_mark_queued());
  word.set_slot(StagingSlot{7});
  CHECK(word.slot() == StagingSlot{7});
  word.unlock();
  CHECK(word.slot() == StagingSlot{7});
  CHECK(word.is_queued());
  word.clear_queued();
  word.set_slot(StagingSlot{});
  CHECK_FALSE(word.slot().is_valid());
  CHECK(word.try_lock());
}

TEST_CASE("staging hands out each slot once and in turn") {
  auto staging = *Staging::create(4, 16);
  std::set<uint32_t> slots;
  for (uint32_t i = 0; i < 4; ++i) slots.insert(staging.acquire(ClusterNumber{i}).value);
  CHECK(slots == std::set<uint32_t>{0, 1, 2, 3});
  CHECK_FALSE(staging.acquire(ClusterNumber{9}).is_valid());
  CHECK(staging.owner(StagingSlot{2}) == ClusterNumber{2});
  staging.free(StagingSlot{2});
  CHECK(staging.acquire(ClusterNumber{9}) == StagingSlot{2});
}

TEST_CASE("reply buffers are disjoint while they are lent") {
  auto buffers = *ReplyBuffers::create();
  const ReplyBuffers::Loan first(buffers);
  const ReplyBuffers::Loan second(buffers);
  CHECK(first.bytes().size() == 64 * kPageSize);
  CHECK((first.bytes().data() + first.bytes().size() <= second.bytes().data() ||
         second.bytes().data() + second.bytes().size() <= first.bytes().data()));
}

namespace {

constexpr uint64_t low_bits(uint32_t count) { return (uint64_t{1} << count) - 1; }

// Touches `count` pages of a stream in order; a page that a plan brought does not fault. Returns how many faulted.
uint32_t faults_of(Readahead& readahead, int64_t from, int64_t stride, int count) {
  std::set<uint64_t> here;
  uint32_t faults = 0;
  for (int i = 0; i < count; ++i) {
    const auto page = static_cast<uint64_t>(from + stride * i);
    if (here.contains(page)) continue;
    ++faults;
    const FetchPlan plan = readahead.plan(PageNumber{page});
    CHECK((plan.pages >> (page - plan.first.value) & 1) == 1);
    for (uint64_t bit = 0; bit < 64; ++bit)
      if (plan.pages >> bit & 1) here.insert(plan.first.value + bit);
  }
  return faults;
}

}  // namespace

TEST_CASE("readahead fetches single pages for random faults") {
  Readahead readahead;
  for (const uint64_t page : {5u, 900u, 17u, 3u, 80u, 5000u}) {
    const FetchPlan plan = readahead.plan(PageNumber{page});
    CHECK(plan.first.value == page);
    CHECK(plan.pages == 1);
  }
}

TEST_CASE("readahead doubles its window along a stream, to 16 pages") {
  Readahead readahead;
  uint64_t page = 100;
  std::vector<int> windows;
  for (int i = 0; i < 7; ++i) {
    const FetchPlan plan = readahead.plan(PageNumber{page});
    windows.push_back(std::popcount(plan.pages));
    CHECK(plan.pages == low_bits(static_cast<uint32_t>(windows.back())));
    page += static_cast<uint64_t>(windows.back());
  }
  CHECK(windows == std::vector<int>{1, 2, 4, 8, 16, 16, 16});
}

TEST_CASE("readahead follows strides, forwards and backwards") {
  for (const int64_t stride : {1, 2, 3, 7, 16, -1, -5, -16}) {
    Readahead readahead;
    // A window of s-steps within 64 pages: at least every other page comes without a fault.
    const auto faults = static_cast<int>(faults_of(readahead, 100'000, stride, 400));
    INFO("stride " << stride << ", faults " << faults);
    CHECK(faults < 400 / std::min(14, 63 / static_cast<int>(std::abs(stride)) - 1) + 12);
    const Readahead::Verdict verdict = readahead.take_verdict();
    CHECK(verdict.used > 150);
    CHECK(verdict.wasted == 0);
  }
}

TEST_CASE("readahead never plans below the first page") {
  Readahead readahead;
  for (const uint64_t page : {12u, 9u, 6u}) {
    const FetchPlan plan = readahead.plan(PageNumber{page});
    CHECK(plan.first.value + 63 - static_cast<uint64_t>(std::countl_zero(plan.pages)) == page);
  }
  const FetchPlan last = readahead.plan(PageNumber{0});
  CHECK(last.first.value == 0);
  CHECK(last.pages == 1);
}

TEST_CASE("readahead follows interleaved streams") {
  Readahead readahead;
  uint64_t a = 100;
  uint64_t b = 100'000;
  for (int i = 0; i < 6; ++i) {
    a += static_cast<uint64_t>(std::popcount(readahead.plan(PageNumber{a}).pages));
    b += static_cast<uint64_t>(std::popcount(readahead.plan(PageNumber{b}).pages));
  }
  CHECK(readahead.plan(PageNumber{a}).pages == low_bits(16));
  CHECK(readahead.plan(PageNumber{b}).pages == low_bits(16));
}

TEST_CASE("a stray fault does not end a stream of which the majority agrees") {
  Readahead readahead;
  uint64_t page = 1000;
  for (int i = 0; i < 8; ++i) page += static_cast<uint64_t>(std::popcount(readahead.plan(PageNumber{page}).pages));
  (void)readahead.plan(PageNumber{page + 29});  // within reach of the stream
  CHECK(std::popcount(readahead.plan(PageNumber{page + 30}).pages) > 1);
}

TEST_CASE("readahead that is not used turns itself down, and up again when it would be") {
  Readahead readahead;
  // Runs of two, and then elsewhere: every plan is wasted.
  uint64_t random = 1;
  uint32_t plans = 0;
  for (int i = 0; i < 4000; ++i) {
    random = random * 6364136223846793005u + 1442695040888963407u;
    const uint64_t page = random >> 34;
    (void)readahead.plan(PageNumber{page});
    const bool is_planned = std::popcount(readahead.plan(PageNumber{page + 1}).pages) > 1;
    if (i >= 3000) plans += is_planned;
  }
  CHECK(plans < 100);
  const Readahead::Verdict verdict = readahead.take_verdict();
  CHECK(verdict.wasted > verdict.used);
  CHECK(faults_of(readahead, int64_t{1} << 40, 1, 40'000) < 4'000);
}

TEST_CASE("blocked signals come back as they were, and SIGBUS is never blocked") {
  sigset_t before;
  sigset_t inside;
  sigset_t after;
  pthread_sigmask(SIG_BLOCK, nullptr, &before);
  {
    const SignalsBlocked blocked;
    pthread_sigmask(SIG_BLOCK, nullptr, &inside);
    CHECK(sigismember(&inside, SIGTERM) == 1);
    CHECK(sigismember(&inside, SIGBUS) == 0);
  }
  pthread_sigmask(SIG_BLOCK, nullptr, &after);
  for (int signal = 1; signal < 32; ++signal) CHECK(sigismember(&before, signal) == sigismember(&after, signal));
}
