#include <catch2/catch.hpp>
#include <map>
#include <vector>

#include "apps/common/random.h"
#include "apps/policy/simulate.h"

using namespace tiara;
using namespace tiara::apps::policy;

namespace {

References references_of(std::vector<uint64_t> pages) { return renumber(pages); }

// A loop over `pages` pages, `rounds` times.
References loop_over(uint64_t pages, int rounds) {
  std::vector<uint64_t> out;
  for (int round = 0; round < rounds; ++round)
    for (uint64_t page = 0; page < pages; ++page) out.push_back(page);
  return renumber(out);
}

std::vector<uint64_t> random_pages(uint64_t seed, uint64_t count, uint64_t pages) {
  apps::Random random(seed);
  std::vector<uint64_t> out;
  for (uint64_t i = 0; i < count; ++i) out.push_back(std::min(random.below(pages), random.below(pages)));
  return out;
}

// LRU by the book: the position in a list of all pages, most recent first.
uint64_t lru_fetches_by_the_book(const std::vector<uint64_t>& pages, size_t memory) {
  std::vector<uint64_t> stack;
  uint64_t fetches = 0;
  for (const uint64_t page : pages) {
    const auto at = std::find(stack.begin(), stack.end(), page);
    if (at != stack.end()) {
      if (static_cast<size_t>(at - stack.begin()) >= memory) ++fetches;
      stack.erase(at);
    }
    stack.insert(stack.begin(), page);
  }
  return fetches;
}

// The optimum by the book: throw out the page whose next use is farthest.
uint64_t best_fetches_by_the_book(const std::vector<uint64_t>& pages, size_t memory) {
  std::vector<uint64_t> here;
  std::map<uint64_t, bool> seen;
  uint64_t fetches = 0;
  for (size_t at = 0; at < pages.size(); ++at) {
    if (std::find(here.begin(), here.end(), pages[at]) != here.end()) continue;
    if (seen[pages[at]]) ++fetches;
    seen[pages[at]] = true;
    if (here.size() == memory) {
      const auto next_use = [&](uint64_t page) {
        return std::find(pages.begin() + static_cast<std::ptrdiff_t>(at), pages.end(), page) - pages.begin();
      };
      here.erase(std::max_element(here.begin(), here.end(),
                                  [&](uint64_t a, uint64_t b) { return next_use(a) < next_use(b); }));
    }
    here.push_back(pages[at]);
  }
  return fetches;
}

}  // namespace

TEST_CASE("LRU and the optimum fetch what they fetch by the book") {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    const auto pages = random_pages(seed, 800, 60);
    for (const uint32_t memory : {1u, 7u, 20u, 59u}) {
      INFO("seed " << seed << " memory " << memory);
      CHECK(simulate_lru(references_of(pages), memory).fetches == lru_fetches_by_the_book(pages, memory));
      CHECK(simulate_belady(references_of(pages), memory).fetches == best_fetches_by_the_book(pages, memory));
    }
  }
}

TEST_CASE("no policy fetches anything when all pages fit, and none beats the optimum") {
  const auto pages = random_pages(7, 20'000, 1'000);
  const References references = references_of(pages);
  for (const auto policy : {EvictionPolicy::kFifo, EvictionPolicy::kClock, EvictionPolicy::kS3Fifo}) {
    CHECK(simulate_runtime(references, {2'048, 1, 0.125}, policy).fetches == 0);
    const Misses best = simulate_belady(references, 250);
    const Misses misses = simulate_runtime(references, {250, 1, 0.125}, policy);
    CHECK(misses.fetches >= best.fetches);
    CHECK(misses.first_uses == best.first_uses);
    CHECK(misses.references == pages.size());
  }
}

TEST_CASE("a loop that does not fit defeats LRU, and the optimum keeps what it can") {
  const References loop = loop_over(100, 10);
  CHECK(simulate_lru(loop, 50).fetches == 900);
  CHECK(simulate_belady(loop, 50).fetches < 500);
}

TEST_CASE("pages of one aligned group of 64 stay neighbours") {
  const References references = references_of({1000, 1001, 5, 1023, 1000});
  CHECK(references.pages[1] == references.pages[0] + 1);
  CHECK(references.pages[0] / 64 == references.pages[3] / 64);
  CHECK(references.pages[2] / 64 != references.pages[0] / 64);
  CHECK(references.pages[4] == references.pages[0]);
}

TEST_CASE("a scan does not flush what s3fifo found to be used again") {
  // A hot set that is used over and over while a long scan passes through.
  apps::Random random(3);
  std::vector<uint64_t> pages;
  for (uint64_t i = 0; i < 60'000; ++i) {
    pages.push_back(random.below(150));
    if (i > 20'000) pages.push_back(1'000 + i);
  }
  const References references = references_of(pages);
  const uint64_t s3fifo = simulate_runtime(references, {256, 1, 0.125}, EvictionPolicy::kS3Fifo).fetches;
  const uint64_t fifo = simulate_runtime(references, {256, 1, 0.125}, EvictionPolicy::kFifo).fetches;
  CHECK(s3fifo * 2 < fifo);
}

TEST_CASE("heat keeps what comes back again and again, where pages leave by copying") {
  // Half of the memory's pages are used all the time; a scan of others runs through.
  std::vector<uint64_t> pages;
  apps::Random random(7);
  for (uint64_t i = 0, scanned = 0; i < 60'000; ++i) {
    // Spread, so that clusters have hot and cold pages.
    pages.push_back(i % 3 == 2 ? 10'000 + scanned++ % 4'000 : random.below(100) * 37);
  }
  const References references = renumber(pages);
  Memory memory{200, 16, 0.125, Way::kCopy, true};
  const Misses with = simulate_runtime(references, memory, EvictionPolicy::kClock);
  memory.heat = false;
  const Misses without = simulate_runtime(references, memory, EvictionPolicy::kClock);
  CHECK(with.fetches < without.fetches);
  CHECK(with.fetches >= simulate_belady(references, 200).fetches);
  CHECK(with.taken_back == 0);
  CHECK(without.taken_back == 0);
}
