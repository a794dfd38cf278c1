// From a node's URL to a channel.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "nic/node/memory_node.h"
#include "nic/transport/channel.h"
#include "nic/transport/fault_injector.h"
#include "nic/wire/shm_layout.h"
#include "runtime/base/error.h"

namespace tiara::nic {

struct ConnectOptions {
  std::chrono::milliseconds node_timeout = kDefaultNodeTimeout;
  uint32_t slots = wire::kDefaultSlots;  // requests that may be outstanding; the node may grant fewer
  std::string token;                     // what the node asks for; empty: none

  std::optional<FaultPlan> faults;       // makes the link worse (fault_injector.h)

  // loop: only. The node that the channel makes and owns, and the operators it brings (the page table's come from
  // pagetable/builtin.h). Borrowed for the call.
  NodeConfig embedded;
  std::span<const BuiltinOperator> builtins;
};

// "loop:" (a node in this process; operators run in the calling thread), "shm://PATH" (a node on this machine that
// serves the socket PATH), "tcp://HOST:PORT" or "rdma://ADDRESS:PORT".
Result<std::unique_ptr<Channel>> connect(std::string_view url, const ConnectOptions& options);

// A loop channel to a node that others hold too (tests, baselines).
Result<std::unique_ptr<Channel>> connect_loop(std::shared_ptr<MemoryNode> node, std::string_view token = {});

}  // namespace tiara::nic
