#include "runtime/residency/resident_order.h"

#include <algorithm>
#include <utility>

namespace tiara::residency {

using fault::Arrival;
using fault::ClusterNumber;
using fault::NumberRing;

Result<ResidentOrder> ResidentOrder::create(uint32_t clusters, EvictionPolicy policy) {
  TIARA_TRY(NumberRing probation, NumberRing::create(clusters));
  TIARA_TRY(NumberRing main, NumberRing::create(clusters));
  TIARA_TRY(os::Mapping departures,
            os::Mapping::anonymous(Bytes{round_up(uint64_t{clusters} * sizeof(std::atomic<uint32_t>), kPageSize)}));
  return ResidentOrder(std::move(probation), std::move(main), std::move(departures), policy);
}

ResidentOrder::ResidentOrder(NumberRing probation, NumberRing main, os::Mapping departures, EvictionPolicy policy)
    : probation_(std::move(probation)), main_(std::move(main)), departures_memory_(std::move(departures)),
      departures_(reinterpret_cast<std::atomic<uint32_t>*>(departures_memory_.data())), policy_(policy) {}

ResidentOrder::ResidentOrder(ResidentOrder&& other) noexcept
    : probation_(std::move(other.probation_)), main_(std::move(other.main_)),
      departures_memory_(std::move(other.departures_memory_)), departures_(other.departures_),
      policy_(other.policy_) {}

void ResidentOrder::push(ClusterNumber cluster, Arrival how) noexcept {
  Queue to = Queue::kMain;
  switch (policy_) {
    case EvictionPolicy::kFifo:
      if (how == Arrival::kTakenBack) to = Queue::kProbation;
      break;
    case EvictionPolicy::kClock: break;
    case EvictionPolicy::kS3Fifo:
      if (how == Arrival::kNew || (how == Arrival::kFetched && !left_recently(cluster))) to = Queue::kProbation;
      break;
  }
  queue(to).push(cluster.value);
}

std::optional<ResidentOrder::Victim> ResidentOrder::try_pop() noexcept {
  Queue first = Queue::kMain;
  switch (policy_) {
    case EvictionPolicy::kFifo: first = Queue::kProbation; break;
    case EvictionPolicy::kClock: break;
    case EvictionPolicy::kS3Fifo:
      if (probation_.size() * kProbationShare >= size()) first = Queue::kProbation;
      break;
  }
  for (const Queue from : {first, first == Queue::kMain ? Queue::kProbation : Queue::kMain})
    if (const auto number = queue(from).try_pop()) return Victim{ClusterNumber{*number}, from};
  return std::nullopt;
}

void ResidentOrder::left(ClusterNumber cluster) noexcept {
  if (policy_ != EvictionPolicy::kS3Fifo) return;
  const uint32_t now = departure_count_.fetch_add(1, std::memory_order_relaxed) + 1;
  // 0 means never, also when the count has come round: one cluster in four billion is forgotten.
  departures_[cluster.value].store(now, std::memory_order_relaxed);
}

// Soon: before as many clusters have left as are here, so that it might have stayed, had others gone.
bool ResidentOrder::left_recently(ClusterNumber cluster) const noexcept {
  const uint32_t then = departures_[cluster.value].load(std::memory_order_relaxed);
  if (then == 0) return false;
  const uint32_t since = departure_count_.load(std::memory_order_relaxed) - then;
  return since <= std::max<uint64_t>(size(), 1);
}

}  // namespace tiara::residency
