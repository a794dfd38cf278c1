#include "runtime/residency/resident_order.h"

#include <catch2/catch.hpp>
#include <vector>

using namespace tiara;
using namespace tiara::residency;
using fault::Arrival;
using fault::ClusterNumber;

namespace {

std::vector<uint32_t> pop_all(ResidentOrder& order) {
  std::vector<uint32_t> out;
  while (const auto victim = order.try_pop()) out.push_back(victim->cluster.value);
  return out;
}

// Pushes `count` clusters from `first` on as newcomers.
void push_new(ResidentOrder& order, uint32_t first, uint32_t count) {
  for (uint32_t i = 0; i < count; ++i) order.push(ClusterNumber{first + i}, Arrival::kNew);
}

}  // namespace

TEST_CASE("fifo lets what was taken back go first, since it keeps its old place") {
  auto order = *ResidentOrder::create(64, EvictionPolicy::kFifo);
  push_new(order, 0, 3);
  order.push(ClusterNumber{9}, Arrival::kTakenBack);
  CHECK(pop_all(order) == std::vector<uint32_t>{9, 0, 1, 2});
}

TEST_CASE("clock sends what was taken back to the end") {
  auto order = *ResidentOrder::create(64, EvictionPolicy::kClock);
  push_new(order, 0, 3);
  order.push(ClusterNumber{9}, Arrival::kTakenBack);
  push_new(order, 3, 1);
  CHECK(pop_all(order) == std::vector<uint32_t>{0, 1, 2, 9, 3});
}

TEST_CASE("s3fifo asks newcomers to leave while they hold more than a tenth") {
  auto order = *ResidentOrder::create(1024, EvictionPolicy::kS3Fifo);
  for (uint32_t i = 0; i < 100; ++i) order.push(ClusterNumber{i}, Arrival::kTakenBack);
  push_new(order, 500, 50);
  // A scan of newcomers passes through; the hundred that were used again stay.
  std::vector<uint32_t> first;
  for (int i = 0; i < 38; ++i) first.push_back(order.try_pop()->cluster.value);
  for (uint32_t i = 0; i < 38; ++i) CHECK(first[i] == 500 + i);
  // 12 newcomers among 112: still a tenth. At 11 of 111 the main queue has its turn.
  CHECK(order.try_pop()->cluster.value == 538);
  CHECK(order.try_pop()->cluster.value == 0);
}

TEST_CASE("s3fifo takes what comes back soon after it left into the main queue") {
  auto order = *ResidentOrder::create(1024, EvictionPolicy::kS3Fifo);
  push_new(order, 0, 20);
  const auto victim = order.try_pop();
  REQUIRE(victim->cluster == ClusterNumber{0});
  CHECK(victim->from == ResidentOrder::Queue::kProbation);
  order.left(victim->cluster, victim->from);
  order.push(ClusterNumber{0}, Arrival::kFetched);
  std::vector<ResidentOrder::Queue> from(20);
  while (const auto next = order.try_pop())
    if (next->cluster.value < 20) from[next->cluster.value] = next->from;
  CHECK(from[0] == ResidentOrder::Queue::kMain);
  CHECK(from[1] == ResidentOrder::Queue::kProbation);
}

TEST_CASE("s3fifo treats what comes back late as a newcomer") {
  auto order = *ResidentOrder::create(1024, EvictionPolicy::kS3Fifo);
  order.left(ClusterNumber{7}, ResidentOrder::Queue::kMain);
  for (uint32_t i = 100; i < 200; ++i) order.left(ClusterNumber{i}, ResidentOrder::Queue::kMain);
  push_new(order, 0, 5);
  order.push(ClusterNumber{7}, Arrival::kFetched);
  std::optional<ResidentOrder::Victim> seven;
  while (const auto victim = order.try_pop())
    if (victim->cluster.value == 7) seven = victim;
  REQUIRE(seven);
  CHECK(seven->from == ResidentOrder::Queue::kProbation);
}

TEST_CASE("a victim that has to stay goes to the end of where it came from") {
  auto order = *ResidentOrder::create(64, EvictionPolicy::kClock);
  push_new(order, 0, 3);
  const auto victim = order.try_pop();
  order.put_back(*victim);
  CHECK(pop_all(order) == std::vector<uint32_t>{1, 2, 0});
}

TEST_CASE("every policy gives back each cluster once") {
  for (const auto policy : {EvictionPolicy::kFifo, EvictionPolicy::kClock, EvictionPolicy::kS3Fifo}) {
    auto order = *ResidentOrder::create(300, policy);
    for (uint32_t i = 0; i < 300; ++i) order.push(ClusterNumber{i}, static_cast<Arrival>(i % 3));
    CHECK(order.size() == 300);
    std::vector<int> seen(300);
    for (const uint32_t cluster : pop_all(order)) ++seen[cluster];
    CHECK(std::count(seen.begin(), seen.end(), 1) == 300);
    CHECK(order.size() == 0);
  }
}
