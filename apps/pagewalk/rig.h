// One memory node in a process of its own, an address space on it with known pages, and everybody
// who can find them. Equal treatment: all contestants ask the same node, over the same channel, for
// the same pages.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "apps/common/child.h"
#include "apps/common/random.h"
#include "nic/transport/channel.h"
#include "nic/transport/fault_injector.h"
#include "pagetable/baseline.h"
#include "pagetable/counting_channel.h"
#include "pagetable/remote_page_table.h"
#include "runtime/base/error.h"

namespace tiara::apps::pagewalk {

enum class Contestant : uint8_t { kOneSided, kRpc, kCached, kOperator };
inline constexpr Contestant kContestants[] = {Contestant::kOneSided, Contestant::kRpc,
                                              Contestant::kCached, Contestant::kOperator};
const char* to_string(Contestant contestant);

// What is asked for: the page's place in the pool, or its bytes.
enum class Task : uint8_t { kWalk, kPage };
inline constexpr Task kTasks[] = {Task::kWalk, Task::kPage};
const char* to_string(Task task);

struct RigOptions {
  uint32_t levels = 4;
  uint64_t pages = 1024;  // stored; fewer where the table is smaller
  uint64_t seed = 1;
  std::vector<int> node_cpus;
  std::optional<nic::FaultPlan> faults;  // of the link, for all contestants
  std::string listen;                    // where the node serves; empty: shared memory
};

// What the client posted and what came to it, over rdma://; zeros over anything else.
struct VerbsCounts {
  uint64_t sends = 0, answers = 0, reads = 0;
};

class Rig {
 public:
  static Result<std::unique_ptr<Rig>> create(const RigOptions& options);
  ~Rig();

  size_t page_count() const { return pages_.size(); }
  // Finds page number `index` of those stored. False: the channel failed, or the node did not have
  // it.
  bool find(Contestant contestant, Task task, size_t index);
  // Whether the last find() brought what was stored there. Not timed.
  bool is_right(Task task, size_t index) const;
  // Adds what the last find() brought to a digest.
  uint64_t digest(Task task) const;
  uint64_t round_trips() const { return channel_->round_trips(); }
  VerbsCounts verbs() const;

 private:
  Rig() = default;
  Result<void> start_node(const RigOptions& options);
  Result<void> connect(const RigOptions& options);
  Result<void> fill(const RigOptions& options);
  bool ask(nic::OperatorId operation, std::span<const uint64_t> arguments,
           std::span<std::byte> room, Task task);

  std::string folder_;
  std::string url_;
  bool counts_verbs_ = false;
  Child node_;
  std::unique_ptr<nic::Channel> transport_;
  std::unique_ptr<pagetable::CountingChannel> channel_;
  std::unique_ptr<pagetable::RemotePageTable> table_;
  std::optional<pagetable::OneSidedReader> one_sided_;
  nic::OperatorId rpc_walk_, rpc_read_, pt_walk_, pt_read_;
  std::vector<PageNumber> pages_;
  std::vector<uint64_t> entries_;  // where each page lies, learned beforehand
  std::vector<uint64_t>
      leaf_words_;  // where the entry itself lies: what a cached translation reads to be sure
  uint64_t found_entry_ = 0;
  std::vector<std::byte> found_page_ = std::vector<std::byte>(kPageSize);
};

}  // namespace tiara::apps::pagewalk
