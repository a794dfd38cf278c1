// The operators of this folder as containers, assembled and verified when they were built. Their
// sources say what each takes, gives back and costs. All but the lock_..._all pair work on the
// region `data`; a client registers the ones it wants with Channel::register_operator and shapes
// the region's content itself.
#pragma once

#include <span>

#include "nic/node/operator_registry.h"

namespace tiara::nic::operators {

// list_find, graph_walk, btree_find, hash_find, lock_acquire, lock_release, lock_enqueue,
// lock_pass, lock_acquire_all, lock_release_all, kv_gather, expert_gather. Lives for ever.
std::span<const BuiltinOperator> builtin_operators();

}  // namespace tiara::nic::operators
