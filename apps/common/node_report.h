// What a node that serves says about itself: the answers of `tiara node status`, `tenants` and `fsck`.
#pragma once

#include <memory>
#include <nlohmann/json.hpp>
#include <span>

#include "nic/node/memory_node.h"
#include "nic/node/server.h"

namespace tiara::apps {

// A node and what it is reached by; borrowed.
struct ServedNode {
  nic::MemoryNode& node;
  std::span<const std::unique_ptr<nic::NodeServer>> servers;

  nic::ServerStats server_stats() const;  // of all of them
};

nlohmann::json status_of(const ServedNode& served);
nlohmann::json tenants_of(const ServedNode& served);
// Checks the pool; invocations wait meanwhile.
nlohmann::json check(const ServedNode& served);

}  // namespace tiara::apps
