// In which order clusters leave: the eviction policies, behind one interface. The pager and `tiara bench policy` run
// this very code.
//
// Stock kernels tell nothing about accesses to mapped pages. What a policy can know is why a page arrived: it is new,
// it was fetched from the node, or it was taken back from staging, and the last means that it was used again shortly
// after it had been unmapped. All policies go by that; see docs/life-of-a-miss.md.
//
//   fifo    clusters leave in the order in which they came; what is taken back keeps its old place and goes first
//   clock   what is taken back goes to the end: the second chance
//   s3fifo  newcomers pass through a short probationary queue; what is taken back, or comes back soon after it left,
//           joins the main queue (Yang et al., FIFO Queues are All You Need for Cache Eviction, SOSP 2023, with the
//           staging range in the place of access bits). A scan passes through without flushing the hot set.
//
// Thread-safe, without locks or allocation.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>

#include "fault-handler/number_ring.h"
#include "fault-handler/page_directory.h"
#include "fault-handler/pager_parts.h"
#include "runtime/base/config.h"

namespace tiara::residency {

class ResidentOrder {
 public:
  // For clusters below `clusters`.
  static Result<ResidentOrder> create(uint32_t clusters, EvictionPolicy policy);
  ResidentOrder(ResidentOrder&& other) noexcept;

  enum class Queue : uint8_t { kProbation, kMain };
  struct Victim {
    fault::ClusterNumber cluster;
    Queue from = Queue::kMain;
  };

  // The cluster has a page here. It may stand in the order only once: the caller keeps the mark
  // (ClusterWord::try_mark_queued). Returns where it stands now.
  Queue push(fault::ClusterNumber cluster, fault::Arrival how) noexcept;
  // The next to leave. Nothing when none is queued, or when a push has not finished (it will in a moment).
  std::optional<Victim> try_pop() noexcept;
  // A victim that has to stay for now goes to the end of where it came from.
  void put_back(const Victim& victim) noexcept { queue(victim.from).push(victim.cluster.value); }
  // Pages of it left, when it came from that queue: remembered by policies that ask whether something comes back soon.
  void left(fault::ClusterNumber cluster, Queue from) noexcept;

  // Does the policy tell newcomers from what has earned its place? Then the one does not take the other along.
  bool has_newcomers_apart() const noexcept { return policy_ == EvictionPolicy::kS3Fifo; }
  uint64_t size() const noexcept { return probation_.size() + main_.size(); }
  EvictionPolicy policy() const noexcept { return policy_; }
  // Memory that the order occupies now, apart from what left() remembers (4 bytes a cluster that ever left).
  Bytes resident_bytes() const { return {probation_.resident_bytes().value + main_.resident_bytes().value}; }

 private:
  // The share of the queued clusters that newcomers may hold before they are asked to leave, of 65,536. It begins as
  // the paper's tenth and follows what comes back soon, as in ARC (Megiddo and Modha, FAST 2003): newcomers that do
  // ask for more room, and what was let go from the main queue takes it back.
  static constexpr uint32_t kWhole = 65536;
  static constexpr uint32_t kLeastShare = kWhole / 10;
  static constexpr uint32_t kMostShare = kWhole / 10 * 9;

  ResidentOrder(fault::NumberRing probation, fault::NumberRing main, os::Mapping departures, EvictionPolicy policy);
  fault::NumberRing& queue(Queue which) noexcept { return which == Queue::kProbation ? probation_ : main_; }
  // Which queue it left from, if that was soon.
  std::optional<Queue> left_recently(fault::ClusterNumber cluster) const noexcept;
  void adapt(Queue came_from) noexcept;

  fault::NumberRing probation_;  // fifo: what was taken back; clock: unused
  fault::NumberRing main_;
  os::Mapping departures_memory_;
  std::atomic<uint32_t>* departures_;  // a cluster's last: [31:1] the count of departures then, [0] from main; 0: none
  const EvictionPolicy policy_;
  std::atomic<uint32_t> departure_count_{0};
  std::atomic<uint32_t> probation_share_{kLeastShare};
};

}  // namespace tiara::residency
