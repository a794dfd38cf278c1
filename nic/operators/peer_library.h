// What a node that shares memory with other nodes brings along for them (docs/nic/peers.md): one operator for each
// remote instruction, on the region `shared`.
#pragma once

#include <span>

#include "nic/node/operator_registry.h"

namespace tiara::nic::peers {

// peer_load, peer_store, peer_cas, peer_add, peer_swap, peer_read: for MemoryNode::create of a node whose
// NodeConfig::shared is not 0. Lives for ever.
std::span<const BuiltinOperator> builtin_operators();

}  // namespace tiara::nic::peers
