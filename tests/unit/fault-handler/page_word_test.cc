#include "fault-handler/page_word.h"

#include <catch2/catch.hpp>
#include <thread>
#include <vector>

using namespace tiara::fault;
using enum PageState;

TEST_CASE("a fresh word is an untouched page that nobody owns") {
  const PageWord word;
  CHECK(word.state() == kUntouched);
  CHECK_FALSE(word.has(kBusy | kWaiters | kHasFrame | kNear));
}

TEST_CASE("a claim takes effect only from the value that was seen") {
  AtomicPageWord word{0};
  const PageWord seen = load(word);
  const auto owned = try_claim(word, seen, kFetching);
  REQUIRE(owned);
  CHECK(load(word).state() == kFetching);
  CHECK(load(word).has(kBusy));
  CHECK_FALSE(try_claim(word, seen, kFetching));
  release(word, *owned, owned->in(kResident).with(kHasFrame));
  CHECK(load(word).state() == kResident);
  CHECK_FALSE(load(word).has(kBusy));
  CHECK(load(word).has(kHasFrame));
}

TEST_CASE("the generation counts changes of state and nothing else") {
  PageWord word;
  CHECK(word.with(kBusy).generation() == 0);
  CHECK(word.in(kUntouched).generation() == 0);
  CHECK(word.in(kFetching).generation() == 1);
  CHECK(word.in(kFetching).in(kResident).generation() == 2);
}

TEST_CASE("only the transitions of the life of a page are legal") {
  // Written out by hand from docs/life-of-a-miss.md, not derived from the table under test.
  const std::vector<std::pair<PageState, std::vector<PageState>>> expected = {
      {kUntouched, {kUntouched, kFetching}},
      {kFetching, {kFetching, kResident, kUntouched, kRemote, kPoisoned}},
      {kResident, {kResident, kStaged, kRemote, kUntouched}},
      {kStaged, {kStaged, kResident, kWritingBack, kUntouched}},
      {kWritingBack, {kWritingBack, kResident, kRemote, kUntouched}},
      {kRemote, {kRemote, kFetching, kUntouched, kPoisoned}},
      {kPoisoned, {kPoisoned, kUntouched}},
  };
  for (const auto& [from, allowed] : expected) {
    for (uint32_t to = 0; to < kPageStates; ++to) {
      const auto state = static_cast<PageState>(to);
      const bool is_expected = std::find(allowed.begin(), allowed.end(), state) != allowed.end();
      INFO(to_string(from) << " -> " << to_string(state));
      CHECK(is_legal(from, state) == is_expected);
    }
  }
}

TEST_CASE("threads that want the same page own it one after the other") {
  AtomicPageWord word{0};
  uint64_t unprotected = 0;
  constexpr int kThreads = 4;
  constexpr int kRounds = 5000;
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i)
    threads.emplace_back([&] {
      for (int round = 0; round < kRounds; ++round) {
        const PageWord owned = claim_slow(word);
        ++unprotected;
        release(word, owned, owned);
      }
    });
  for (auto& thread : threads) thread.join();
  CHECK(unprotected == uint64_t{kThreads} * kRounds);
  CHECK_FALSE(load(word).has(kBusy | kWaiters));
}

TEST_CASE("a claim waits for unwanted flags to go") {
  AtomicPageWord word{PageWord{}.with(kWriting).raw()};
  std::thread writer([&] {
    const PageWord owned = claim_slow(word);
    release(word, owned, owned.without(kWriting).with(kHasFrame));
  });
  const PageWord owned = claim_slow(word, kWriting);
  CHECK(owned.has(kHasFrame));
  release(word, owned, owned);
  writer.join();
}
