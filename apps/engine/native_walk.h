// The walk that the engines are held against: what pt_walk does, written in C++ as one would write it by hand.
// Compiled with -O2, whatever the build type.
#pragma once

#include <cstddef>
#include <cstdint>

#include "nic/engine/engine.h"
#include "nic/node/pool_layout.h"

namespace tiara::apps::engine {

// The page's entry; 0 when it is absent or out of range. It trusts the table: no bounds checks.
uint64_t native_walk(const std::byte* pool, const nic::pool::SpaceDescriptor& space, uint64_t page) noexcept;

// The same walk in an engine's place: it takes its argument from the invocation, gives its answer as an Outcome (counts
// apart), and checks nothing but the number of arguments. Regions 0 and 1 are pool and space.
nic::Outcome native_operator(const nic::Invocation& invocation) noexcept;

}  // namespace tiara::apps::engine
