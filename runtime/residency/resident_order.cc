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

ResidentOrder::Queue ResidentOrder::push(ClusterNumber cluster, Arrival how) noexcept {
  Queue to = Queue::kMain;
  switch (policy_) {
    case EvictionPolicy::kFifo:
      if (how == Arrival::kTakenBack) to = Queue::kProbation;
      break;
    case EvictionPolicy::kClock: break;
    case EvictionPolicy::kS3Fifo:
      if (how == Arrival::kTakenBack) break;
      if (const auto from = how == Arrival::kFetched ? left_recently(cluster) : std::nullopt) adapt(*from);
      else to = Queue::kProbation;
      break;
  }
  queue(to).push(cluster.value);
  return to;
}

std::optional<ResidentOrder::Victim> ResidentOrder::try_pop() noexcept {
  Queue first = Queue::kMain;
  switch (policy_) {
    case EvictionPolicy::kFifo: first = Queue::kProbation; break;
    case EvictionPolicy::kClock: break;
    case EvictionPolicy::kS3Fifo:
      if (probation_.size() * kWhole >= size() * probation_share_.load(std::memory_order_relaxed))
        first = Queue::kProbation;
      break;
  }
  for (const Queue from : {first, first == Queue::kMain ? Queue::kProbation : Queue::kMain})
    if (const auto number = queue(from).try_pop()) return Victim{ClusterNumber{*number}, from};
  return std::nullopt;
}

void ResidentOrder::left(ClusterNumber cluster, Queue from) noexcept {
  if (policy_ != EvictionPolicy::kS3Fifo) return;
  const uint32_t now = departure_count_.fetch_add(1, std::memory_order_relaxed) + 1;
  // 0 means never, also when the count has come round: one cluster in two billion is forgotten.
  departures_[cluster.value].store(now << 1 | (from == Queue::kMain ? 1 : 0), std::memory_order_relaxed);
}

// Soon: before as many clusters have left as are here, so that it might have stayed, had others gone.
std::optional<ResidentOrder::Queue> ResidentOrder::left_recently(ClusterNumber cluster) const noexcept {
  const uint32_t note = departures_[cluster.value].load(std::memory_order_relaxed);
  if (note == 0) return std::nullopt;
  constexpr uint32_t kMask = UINT32_MAX >> 1;
  const uint32_t since = (departure_count_.load(std::memory_order_relaxed) - (note >> 1)) & kMask;
  if (since > std::max<uint64_t>(size(), 1)) return std::nullopt;
  return (note & 1) != 0 ? Queue::kMain : Queue::kProbation;
}

// One cluster more or less. Lost updates do not matter.
void ResidentOrder::adapt(Queue came_from) noexcept {
  const auto step = static_cast<int64_t>(kWhole / std::max<uint64_t>(size(), 1)) + 1;
  const int64_t had = probation_share_.load(std::memory_order_relaxed);
  const int64_t share = came_from == Queue::kProbation ? had + step : had - step;
  const auto within = static_cast<uint32_t>(std::clamp<int64_t>(share, kLeastShare, kMostShare));
  probation_share_.store(within, std::memory_order_relaxed);
}

}  // namespace tiara::residency
