// The measurements of `tiara bench node`. Every page that comes is checked.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "apps/common/child.h"
#include "apps/common/latency.h"
#include "apps/node/bare_stream.h"
#include "nic/transport/channel.h"
#include "runtime/base/error.h"
#include "runtime/base/units.h"

namespace tiara::apps::node {

struct Options {
  uint32_t workers = 1;
  uint32_t rounds = 7;  // contestants take turns, so that a disturbance meets all of them
  uint64_t misses = 5'000;      // of each contestant in a round
  double seconds = 0.5;         // of each stream in a round, and of the fairness measurement eight times as much
  uint32_t outstanding = 32;
  uint32_t together = 16;       // reads that are posted together, when that many have been answered
  uint32_t busy_clients = 8;
  uint32_t idle_clients = 1000;
  uint32_t churn = 10'000;      // clients that connect and leave again
  uint64_t pages = 1024;
  uint64_t seed = 1;
  std::string json_path;
  bool smoke = false;
};

// A `tiara node` of our own, over tcp on loopback.
class NodeProcess {
 public:
  // `tenants` of equal weight, or none: then whoever comes is served.
  static Result<std::unique_ptr<NodeProcess>> start(const Options& options, uint32_t tenants = 0);
  const std::string& url() const { return url_; }
  Result<std::unique_ptr<nic::Channel>> connect(uint32_t slots, uint32_t tenant = 0) const;
  uint64_t resident_bytes() const;
  uint64_t descriptors() const;

 private:
  Child process_;
  UniqueFd output_, configuration_;
  uint32_t tenants_ = 0;
  std::string url_;
};

// A client with a page table of its own, filled.
class Client {
 public:
  static Result<std::unique_ptr<Client>> create(const NodeProcess& node, uint64_t pages, uint64_t seed, uint32_t slots,
                                                uint32_t tenant = 0);
  // One page, and whether it was the right one.
  bool read(uint64_t page);
  // Keeps `outstanding` reads going for `time`; pages read.
  uint64_t stream(const Options& options, os::Nanoseconds time, uint64_t seed);
  uint64_t wrong() const { return wrong_; }

 private:
  nic::Request request(std::span<const uint64_t> arguments) const { return {read_, space_, arguments}; }
  bool is_right(uint64_t page, const nic::Reply& reply, std::span<const std::byte> bytes);

  std::unique_ptr<nic::Channel> channel_;
  nic::OperatorId read_, write_;
  nic::AddressSpaceId space_;
  uint64_t pages_ = 0, seed_ = 0, wrong_ = 0;
  std::vector<std::byte> room_ = std::vector<std::byte>(kPageSize);
};

struct Link {
  LatencyHistogram miss, echo;
  std::vector<uint64_t> miss_p50, echo_p50;      // nanoseconds, by round
  std::vector<double> page_bytes, stream_bytes;  // per second, by round
  uint64_t wrong = 0;
};
Result<Link> measure_link(const Options& options, const NodeProcess& node, const BareServer& bare);

struct Load {
  std::vector<uint64_t> pages;  // by client
  LatencyHistogram latency;
  double seconds = 0;
  uint64_t wrong = 0;
};
// Each client is a tenant, on a node of its own.
Result<Load> measure_load(const Options& options);

struct Crowd {
  uint64_t bytes_before = 0, bytes_with_idle = 0;            // of the node
  uint64_t descriptors_before = 0, descriptors_after = 0;    // of the node, around the churn
  uint64_t bytes_before_churn = 0, bytes_after_churn = 0;
  double connects_per_second = 0;
};
Result<Crowd> measure_crowd(const Options& options, const NodeProcess& node);

}  // namespace tiara::apps::node
