// The operators that every memory node of this version brings along, assembled and verified when it
// was built.
#pragma once

#include <span>

#include "nic/node/operator_registry.h"

namespace tiara::pagetable {

// pt_read, pt_write, pt_discard, pt_stat, pt_walk, pt_chase, pt_clone: for MemoryNode::create. Lives for ever.
std::span<const nic::BuiltinOperator> builtin_operators();

}  // namespace tiara::pagetable
