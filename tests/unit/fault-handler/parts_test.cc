#include <algorithm>
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

TEST_CASE("readahead fetches single pages for random faults") {
  Readahead readahead;
  for (const uint64_t page : {5u, 900u, 17u, 3u, 80u, 5000u}) CHECK(readahead.plan(PageNumber{page}) == 1);
}

TEST_CASE("readahead doubles its window along a stream, to 16 pages") {
  Readahead readahead;
  uint64_t page = 100;
  std::vector<uint32_t> windows;
  for (int i = 0; i < 7; ++i) {
    windows.push_back(readahead.plan(PageNumber{page}));
    page += windows.back();
  }
  CHECK(windows == std::vector<uint32_t>{1, 2, 4, 8, 16, 16, 16});
}

TEST_CASE("readahead follows interleaved streams") {
  Readahead readahead;
  uint64_t a = 100;
  uint64_t b = 100'000;
  for (int i = 0; i < 6; ++i) {
    a += readahead.plan(PageNumber{a});
    b += readahead.plan(PageNumber{b});
  }
  CHECK(readahead.plan(PageNumber{a}) == 16);
  CHECK(readahead.plan(PageNumber{b}) == 16);
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
